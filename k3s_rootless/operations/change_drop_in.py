"""Change drop-ins, and restore the earlier files if the change fails.

A drop-in is written, systemd reloads it, and the loaded unit is compared with the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import start_record as start_records
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files, start_record
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.steps import Reload, Remove, RemoveDirectory, WriteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import DesiredDropIn, FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager

_HINT = "check what else sets it with: systemctl --user cat k3s-rootless"


def perform(
    context: Context,
    manager: UserManager,
    changes: Sequence[tuple[FoundFile, DesiredDropIn]],
    cause: str,
    differs: Callable[[UnitState], str | None],
    *,
    force: bool = False,
) -> tuple[UnitState, bool]:
    """Write the drop-ins, reload systemd, and check that systemd loaded the change.

    Returns the unit after the change, and whether anything changed. The caller holds the lock.
    `differs` returns how the unit that systemd loaded differs from the change; `differs` is called
    only if a unit is installed.

    Raises WouldOverwrite before anything is changed; RootlessError after the change was undone.
    """
    unfinished.require_none(context)
    planned: list[Step] = []
    for found, desired in changes:
        planned += planner.drop_in(desired, found, cause, force=force)
    state = manager.unit(UNIT)
    before = _read_before([found for found, _ in changes], planned)
    steps = (*planned, *planner.emptied(tuple(planned), before.names, state))
    if steps and changes:
        _record_start(context, state, changes[0][0].path.parent)
    if not steps and not _is_unread(state, differs):
        return state, False
    try:
        for step in (*steps, Reload("the drop-ins changed")):
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
    """Return whether systemd has not read a drop-in that an interrupted run left.

    systemd 247 and 252 do not notice a drop-in in a new directory.
    """
    if state.needs_reload:
        return True
    return state.fragment is not None and differs(state) is not None


@dataclass(frozen=True, slots=True)
class _Before:
    """The state before a change, which an undo restores.

    `files` are the earlier drop-ins, `copies` are the backup files that the change creates, and
    `names` are the file names in each directory (None if the directory did not exist).
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
    # A unit that is not installed has no properties to compare; the first `up` compares them.
    if state.load_state in {"error", "bad-setting"}:
        raise RootlessError(f"systemd cannot load the unit: {state.load_error}", hint=_HINT)
    if state.load_state != "loaded":
        return
    difference = differs(state)
    if difference is not None:
        raise RootlessError(f"systemd did not apply the change: {difference}", hint=_HINT)


def _undo(context: Context, manager: UserManager, before: _Before) -> None:
    try:
        for found in before.files:
            apply.put_back(found)
        for copy in before.copies:
            apply.remove(copy)
        for directory, names in before.names.items():
            if names is None:
                apply.change_file(RemoveDirectory(directory, "it did not exist before"))
    except RootlessError as error:
        context.notice(f"cannot undo the change: {error.message}")
        return
    try:
        manager.reload()
    except RootlessError as error:
        context.notice(
            "the change was undone, but systemd did not reload the earlier drop-ins:"
            f" {error.message}"
        )
        return
    context.notice("the change was undone: the drop-ins are as before")


def _record_start(context: Context, state: UnitState, drop_ins: Path) -> None:
    """Record the files that K3s was started with, before they are changed.

    The caller holds the lock.
    """
    record = context.paths.start_record
    if start_record.is_of_this_start(record, state):
        return
    if drop_in.restart_pending(state, files.last_changed(drop_ins, state)) is not None:
        return
    start_records.write(context, state)
