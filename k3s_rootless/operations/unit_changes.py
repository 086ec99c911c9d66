"""Detect changes of the unit since K3s was started; a change that was reverted does not count."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files, start_record

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def last(context: Context, state: UnitState, drop_ins: Path) -> datetime | None:
    """Return when the unit last changed, or None if K3s runs with the current files.

    `drop_ins` is the directory of the user's own drop-ins.
    """
    if are_none(context, state):
        return None
    return files.last_changed(drop_ins, state)


def are_none(context: Context, state: UnitState | None) -> bool:
    """Return whether K3s is known to run with the current files of its unit."""
    return state is not None and start_record.is_as_started(context.paths.start_record, state)


def record_start(context: Context, state: UnitState, drop_ins: Path) -> None:
    """Record the files that K3s was started with, before they are changed.

    The caller holds the lock.
    """
    # Imported here: `status` reads the record, and must not load the code that writes it.
    from k3s_rootless.service.act import apply

    record = context.paths.start_record
    if start_record.is_of_this_start(record, state):
        return
    if drop_in.restart_owed(state, files.last_changed(drop_ins, state)) is not None:
        return
    text = start_record.text(state)
    if text is None:
        return
    # Without a record, a restart may be reported as required when it is not. That is no reason to
    # refuse the change.
    with suppress(RootlessError):
        apply.write(record, text, 0o600)
