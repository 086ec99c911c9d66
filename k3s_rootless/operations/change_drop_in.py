"""Changes drop-ins of ours: written, read by systemd, and read back; where that fails, all is as it
was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import unit_changes
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.steps import Reload, Remove, RemoveDirectory, WriteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import DesiredDropIn, FoundFile, UnitState
    from k3s_rootless.service.systemd.user import UserManager

_HINT = "see what else sets it: systemctl --user cat k3s-rootless"


def perform(
    context: Context,
    manager: UserManager,
    changes: Sequence[tuple[FoundFile, DesiredDropIn]],
    cause: str,
    differs: Callable[[UnitState], str | None],
    *,
    force: bool = False,
) -> tuple[UnitState, bool]:
    """Make drop-ins as desired, let systemd read them, and look whether it did; give the unit then,
    and whether it changed.

    To be called under the lock. `differs` is asked about the unit afterwards, if one is installed,
    and says what systemd has instead of what was asked for. Raises RootlessError, and has put
    everything back then; WouldOverwrite before anything.
    """
    steps = tuple(
        step
        for found, desired in changes
        for step in planner.drop_in(desired, found, cause, force=force)
    )
    state = manager.unit(UNIT)
    for found, _ in changes:
        apply.sweep(found.path.parent)
    there = {found.path.parent: files.names(found.path.parent) for found, _ in changes}
    steps += planner.emptied(steps, there, state)
    # A run that was killed before it reloaded left its file; systemd 247 and 252 do not notice one
    # in a new directory.
    unread = state.needs_reload or (state.fragment is not None and differs(state) is not None)
    kept = (
        step.backup
        for step in steps
        if isinstance(step, WriteFile | Remove) and step.backup is not None
    )
    copies = [path for path in kept if not path.exists()]
    if steps and changes:
        unit_changes.record_start(context, state, changes[0][0].path.parent)
    if steps or unread:
        try:
            for step in (*steps, Reload("its drop-ins changed")):
                context.notice(f"{step.describe()}: {step.cause}")
                apply.perform(step, manager)
            state = manager.unit(UNIT)
            _require_same(state, differs)
        except RootlessError:
            if steps:
                _put_back(context, manager, [found for found, _ in changes], copies, there)
            raise
    return state, bool(steps)


def _require_same(state: UnitState, differs: Callable[[UnitState], str | None]) -> None:
    # A unit that is not installed yet has no properties to read back; its first `up` reads them.
    if state.load_state in {"error", "bad-setting"}:
        raise RootlessError(f"systemd cannot load the unit: {state.load_error}", hint=_HINT)
    wrong = differs(state) if state.load_state == "loaded" else None
    if wrong is not None:
        raise RootlessError(f"systemd did not take it: {wrong}", hint=_HINT)


def _put_back(
    context: Context,
    manager: UserManager,
    before: Sequence[FoundFile],
    copies: Sequence[Path],
    there: Mapping[Path, frozenset[str] | None],
) -> None:
    try:
        for found in before:
            apply.put_back(found)
        for copy in copies:
            apply.remove(copy)
        for directory in (path for path, names in there.items() if names is None):
            apply.change_file(RemoveDirectory(directory, "it was not there before"))
    except RootlessError as error:
        context.notice(f"cannot undo it: {error.message}")
        return
    try:
        manager.reload()
    except RootlessError as error:
        context.notice(
            "undone: every drop-in is as it was before, but systemd did not reload them:"
            f" {error.message}"
        )
        return
    context.notice("undone: every drop-in is as it was before")
