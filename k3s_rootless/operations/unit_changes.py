"""Detect changes of the unit since K3s was started; a change that was reverted does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
