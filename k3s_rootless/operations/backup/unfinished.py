"""Refuse commands that start K3s while a restore is not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

HINT = (
    "finish it with: k3s-rootless backup restore --continue (or undo it with: k3s-rootless backup"
    " restore --abort)"
)


def require_none(context: Context) -> None:
    """Raise RootlessError if a restore is not finished, also if it has changed nothing yet.

    It may have stopped K3s, and its drop-in prevents a start.
    """
    file = context.paths.restore_record
    if not file.exists():
        return
    # Imported here: each `up` and `restart` comes here, and hardly one finds a record.
    from k3s_rootless.backup import restore_record

    record = restore_record.load(file)
    if record is not None:
        raise RootlessError(
            f"cannot continue: a restore of `{record.archive}` is not finished", hint=HINT
        )
