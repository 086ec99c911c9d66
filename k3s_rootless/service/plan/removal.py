"""Steps of `uninstall`, which remove the files that k3s-rootless wrote.

With --force, they also remove an edited or foreign file at the same path, and keep a copy of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.steps import (
    Disable,
    Reload,
    Remove,
    RemoveDirectory,
    RemoveLink,
    ResetFailed,
    Step,
    Stop,
)
from k3s_rootless.service.unit.seal import Author, author

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.service.facts import FoundFile, UnitState

_CAUSE = "it was written by k3s-rootless"


def stopping(state: UnitState, unit: FoundFile) -> tuple[Step, ...]:
    """Return the steps that stop the unit and disable it.

    They run before the unit file is removed.
    """
    steps: list[Step] = [
        step for step in planner.down(state, disable=False) if isinstance(step, Stop)
    ]
    if state.file_state in {"enabled", "enabled-runtime"} and unit.text is not None:
        steps.append(Disable(state.name, "it would start with the user manager"))
    return tuple(steps)


def files(
    unit: FoundFile,
    drop_ins: Sequence[FoundFile],
    directory: Path,
    names: frozenset[str] | None,
    link: Path | None,
    *,
    force: bool,
) -> tuple[Step, ...]:
    """Return the steps that remove our files.

    An edited file is not removed; with `force`, it is removed and a copy is kept.

    `directory` is the directory of the drop-ins, `names` holds the names of its entries (None if it
    does not exist), and `link` is the link that starts the unit with the user manager, if it still
    exists. Without `force`, raises WouldOverwrite for a unit that k3s-rootless did not write.
    """
    of_unit = _unit(unit, force=force)
    steps: list[Step] = []
    if link is not None:
        steps.append(RemoveLink(link, "it starts the unit with the user manager"))
    for found in drop_ins:
        if found.path.parent == directory and (force or removable(found)):
            steps += _drop_in(found, force=force)
    gone = {step.path.name for step in steps if isinstance(step, Remove) and step.backup is None}
    if names is not None and names <= gone:
        steps.append(RemoveDirectory(directory, "it is empty"))
    return (*steps, *of_unit)


def _drop_in(found: FoundFile, *, force: bool) -> tuple[Step, ...]:
    """Return the steps that remove a drop-in; empty if its name is not one of ours."""
    if found.problem or not drop_in.is_ours(found.path.name):
        return ()
    return planner.drop_in(DesiredDropIn(found.path, None), found, _CAUSE, force=force)


def _unit(unit: FoundFile, *, force: bool) -> tuple[Step, ...]:
    """Return the step that removes the unit file; empty if it does not exist.

    Without `force`, raises WouldOverwrite for a unit that k3s-rootless did not write.
    """
    writer = None
    if unit.text is not None:
        writer = author(unit.text)
    if unit.link or writer not in {None, Author.OURS}:
        if not force:
            _refuse(unit, writer)
        return (Remove(unit.path, "--force", planner.backup(unit.path, unit.text or "")),)
    if writer is None:
        return ()
    return (Remove(unit.path, _CAUSE),)


def _refuse(unit: FoundFile, writer: Author | None) -> NoReturn:
    state = "is a link"
    if writer is not None and not unit.link:
        state = f"was {writer.value}"
    raise WouldOverwrite(
        f"cannot remove `{unit.path}`: the existing unit {state}",
        hint=(
            "to keep it, stop K3s with `k3s-rootless down --disable`; to remove it, use"
            " `--force`, which keeps a copy"
        ),
    )


def removable(found: FoundFile) -> bool:
    """Return whether k3s-rootless wrote a drop-in and it was not edited since."""
    return found.text is not None and not found.link and author(found.text) is Author.OURS


def forgetting(state: UnitState | None, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps after the removal of the files; empty without systemd.

    systemd reloads its unit files, and resets the failed state of the unit.
    """
    if state is None:
        return ()
    rest: list[Step] = []
    if steps or state.needs_reload:
        rest.append(Reload("the unit's files were removed"))
    if state.active_state == "failed":
        rest.append(ResetFailed(state.name, "it failed"))
    return tuple(rest)
