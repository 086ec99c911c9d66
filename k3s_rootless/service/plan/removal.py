"""What `uninstall` does: the steps that take away what we wrote, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    """Give the steps that stop the unit and keep it stopped, while it is still there."""
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
    """Give the steps that remove our files; what somebody edited stays, or is kept under another
    name with `force`.

    `directory` is that of the drop-ins, `names` what lies in it (None where it is not there),
    `link` the one that starts the unit with the user manager, if it is still there. Raises
    WouldOverwrite for a unit that is not ours, without `force`.
    """
    whose = author(unit.text) if unit.text is not None else None
    foreign = unit.link or whose not in {None, Author.OURS}
    if foreign and not force:
        told = "is a link" if unit.link or whose is None else f"was {whose.value}"
        raise WouldOverwrite(
            f"cannot remove `{unit.path}`: the unit there {told}",
            hint=(
                "keep it and stop K3s with `k3s-rootless down --disable`, or remove it with"
                " --force, which keeps a copy"
            ),
        )
    steps: list[Step] = (
        [RemoveLink(link, "it starts the unit with the user manager")] if link else []
    )
    for found in drop_ins:
        if found.path.parent != directory or not drop_in.is_ours(found.path.name) or found.problem:
            continue
        if removable(found) or force:
            steps += planner.drop_in(DesiredDropIn(found.path, None), found, _CAUSE, force=force)
    if names is not None and names <= {
        step.path.name for step in steps if isinstance(step, Remove) and step.backup is None
    }:
        steps.append(RemoveDirectory(directory, "nothing is left in it"))
    if foreign:
        steps.append(Remove(unit.path, "--force", planner.backup(unit.path, unit.text or "")))
    elif whose is not None:
        steps.append(Remove(unit.path, _CAUSE))
    return tuple(steps)


def removable(found: FoundFile) -> bool:
    """Tell whether a drop-in is ours, and untouched."""
    return found.text is not None and not found.link and author(found.text) is Author.OURS


def forgetting(state: UnitState | None, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Give the steps after the files are gone: systemd reads that, and forgets that the unit
    failed; none without systemd.
    """
    rest: list[Step] = []
    if state is not None and (steps or state.needs_reload):
        rest.append(Reload("its files are gone"))
    if state is not None and state.active_state == "failed":
        rest.append(ResetFailed(state.name, "it failed before"))
    return tuple(rest)
