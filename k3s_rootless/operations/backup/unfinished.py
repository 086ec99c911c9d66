"""Refuse commands that start K3s or change its files while a transaction is not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Record
    from k3s_rootless.operations.context import Context


def require_none(context: Context) -> None:
    """Raise RootlessError if a restore, an upgrade or a rollback is not finished.

    Also if it has changed nothing yet: it may have stopped K3s, and its drop-in prevents a start.
    """
    record = found(context)
    if record is not None:
        raise error(record)


def found(context: Context) -> Record | None:
    """Return the unfinished transaction, or None. Raises RootlessError."""
    file = context.paths.transaction
    if not file.exists():
        return None
    # Imported here: each `up` and `restart` comes here, and hardly one finds a record.
    from k3s_rootless.backup import record as records

    return records.load(file)


def require_no_restore(record: Record) -> None:
    """Raise RootlessError for a restore that `up` must not finish: only its undo, once begun."""
    # Imported here for the same reason.
    from k3s_rootless.backup.facts import Kind, Phase

    if record.kind is Kind.RESTORE and record.phase not in {Phase.UNDOING, Phase.UNDONE}:
        raise error(record)


def error(record: Record) -> RootlessError:
    """Return the error for an unfinished transaction, with the commands that end it."""
    # Imported here for the same reason.
    from k3s_rootless.operations.backup.transaction import ABORTS, CONTINUES

    return RootlessError(
        f"cannot continue: the {record.name} is not finished",
        hint=f"finish it with: {CONTINUES[record.kind]} (or undo it with: {ABORTS[record.kind]})",
    )
