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
    """Raise RootlessError if a restore has replaced files of K3s and is not finished."""
    file = context.paths.restore_record
    if not file.exists():
        return
    # Imported here: each `up` and `restart` comes here, and hardly one finds a record.
    from k3s_rootless.backup import replacement
    from k3s_rootless.backup.facts import Phase

    record = replacement.load(file)
    if record is not None and record.phase is not Phase.STAGING:
        raise RootlessError(
            f"cannot start K3s: a restore of `{record.archive}` is not finished", hint=HINT
        )
