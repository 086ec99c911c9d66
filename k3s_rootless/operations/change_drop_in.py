"""Change drop-ins of ours: written, read by systemd, and read back; if that fails, all is as it was
before.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    from k3s_rootless.service.plan.steps import Step
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
    """Make drop-ins as desired, let systemd read them, and check that it did; return the unit then,
    and whether anything changed.

    Call it under the lock. `differs` returns how systemd's unit differs from the change; it is
    called only if a unit is installed. Raises RootlessError, and has undone everything then;
    WouldOverwrite before anything is done.
    """
    planned: list[Step] = []
    for found, desired in changes:
        planned += planner.drop_in(desired, found, cause, force=force)
    state = manager.unit(UNIT)
    before = _read_before([found for found, _ in changes], planned)
    steps = (*planned, *planner.emptied(tuple(planned), before.names, state))
    if steps and changes:
        unit_changes.record_start(context, state, changes[0][0].path.parent)
    if not steps and not _is_unread(state, differs):
        return state, False
    try:
        for step in (*steps, Reload("its drop-ins changed")):
            context.notice(f"{step.describe()}: {step.cause}")
            apply.perform(step, manager)
        state = manager.unit(UNIT)
        _require_same(state, differs)
    except RootlessError:
        if steps:
            _undo(context, manager, before)
        raise
    return state, bool(steps)


def _is_unread(state: UnitState, differs: Callable[[UnitState], str | None]) -> bool:
    """Return whether systemd has not read a drop-in that a killed run left: systemd 247 and 252 do
    not notice one in a new directory.
    """
    if state.needs_reload:
        return True
    return state.fragment is not None and differs(state) is not None


@dataclass(frozen=True, slots=True)
class _Before:
    """What an undo needs: the drop-ins as they were, the copies that the change makes, and what was
    in each directory.
    """

    files: Sequence[FoundFile]
    copies: Sequence[Path]
    names: Mapping[Path, frozenset[str] | None]


def _read_before(found: Sequence[FoundFile], steps: Sequence[Step]) -> _Before:
    directories = [one.path.parent for one in found]
    for directory in directories:
        apply.sweep(directory)
    names = {directory: files.names(directory) for directory in directories}
    backups = [step.backup for step in steps if isinstance(step, WriteFile | Remove)]
    copies = [path for path in backups if path is not None and not path.exists()]
    return _Before(found, copies, names)


def _require_same(state: UnitState, differs: Callable[[UnitState], str | None]) -> None:
    # A unit that is not installed yet has no properties to read back; its first `up` reads them.
    if state.load_state in {"error", "bad-setting"}:
        raise RootlessError(f"systemd cannot load the unit: {state.load_error}", hint=_HINT)
    if state.load_state != "loaded":
        return
    difference = differs(state)
    if difference is not None:
        raise RootlessError(f"systemd did not take it: {difference}", hint=_HINT)


def _undo(context: Context, manager: UserManager, before: _Before) -> None:
    try:
        for found in before.files:
            apply.put_back(found)
        for copy in before.copies:
            apply.remove(copy)
        for directory, names in before.names.items():
            if names is None:
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
