"""Find what an interrupted command left unfinished, and refuse commands that must not run then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Record
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


_ROTATE = "k3s-rootless token rotate"
_ROTATION_PROBLEM = "the rotation of the token is not finished"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Work that a command has begun and not finished.

    `what` is the command, `problem` a sentence about the present state, and `commands` are the
    commands that end this state, each with its effect.
    """

    what: str
    problem: str
    commands: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "what": self.what,
            "problem": self.problem,
            "commands": [{"does": does, "command": command} for does, command in self.commands],
        }


def require_none(context: Context) -> None:
    """Raise RootlessError if a transaction, or a rotation of the token, is not finished.

    Also if it has changed nothing yet: it may have stopped K3s, and its drop-in prevents a start. A
    backup that has only stopped K3s does not count.
    """
    require_no_transaction(context)
    require_no_rotation(context)


def require_no_rotation(context: Context) -> None:
    """Raise RootlessError if K3s might be started with another token than its datastore has."""
    if context.paths.token_rotation.exists():
        raise RootlessError(
            f"cannot continue: {_ROTATION_PROBLEM}", hint=f"finish it with: {_ROTATE}"
        )


def require_no_transaction(context: Context) -> None:
    """Raise RootlessError if a transaction is not finished; see `require_none`."""
    record = found(context)
    if record is not None and not record.only_stopped:
        raise error(record)


def require_removable(context: Context) -> None:
    """Raise RootlessError if files of K3s are replaced at the moment: only that command can end it.

    A reset and a backup that has stopped K3s replace no files.
    """
    record = found(context)
    if record is None or record.only_stopped or record.data is not None:
        return
    raise error(record)


def found(context: Context) -> Record | None:
    """Return the unfinished transaction, or None. Raises RootlessError."""
    file = context.paths.transaction
    if not file.exists():
        return None
    # Imported here: each `up`, `restart` and `status` comes here, and hardly one finds a record.
    from k3s_rootless.backup import record as records

    return records.load(file)


def continued_by_up(context: Context) -> Record | None:
    """Return the transaction that `up` continues or undoes before it starts K3s; None for none.

    Raises RootlessError for a transaction that another command must end first.
    """
    record = found(context)
    if record is None or record.only_stopped:
        return None
    if not record.is_continued_by_up:
        raise error(record)
    return record


def error(record: Record) -> RootlessError:
    """Return the error for an unfinished transaction, with the commands that end it."""
    (_, finish), *others = _commands(record)
    hint = f"finish it with: {finish}"
    for does, command in others:
        hint += f" (or {does} it with: {command})"
    return RootlessError(f"cannot continue: the {record.name} is not finished", hint=hint)


def find(context: Context, state: UnitState | None) -> Unfinished | None:
    """Return the work that is not finished. Raises RootlessError if its record is damaged.

    `state` is the unit; None if it is unknown.
    """
    record = found(context)
    if record is None:
        return _rotation(context)
    commands = _commands(record)
    if not record.only_stopped:
        return Unfinished(_command(record), f"the {record.name} is not finished", commands)
    if state is None or not _is_in_effect(record, state):
        return None
    problem = f"a {record.name} was interrupted after it had stopped K3s"
    return Unfinished(_command(record), problem, commands)


def _rotation(context: Context) -> Unfinished | None:
    if not context.paths.token_rotation.exists():
        return None
    return Unfinished(_ROTATE, _ROTATION_PROBLEM, (("finish", _ROTATE),))


def stopped(context: Context, state: UnitState) -> bool:
    """Return whether a command has stopped K3s and was interrupted before it started K3s again.

    False if K3s was started since. Raises RootlessError if the record is damaged.
    """
    record = found(context)
    return record is not None and record.only_stopped and _is_in_effect(record, state)


def forget_stop(context: Context) -> None:
    """Remove the record of a command that has only stopped K3s, since the user decided about K3s.

    Raises RootlessError.
    """
    record = found(context)
    if record is not None and record.only_stopped:
        _forget(context)


def forget_reset(context: Context) -> None:
    """Remove the record of a reset after its data directory was removed. Raises RootlessError."""
    record = found(context)
    if record is not None and record.data is not None:
        _forget(context)


def _forget(context: Context) -> None:
    # Imported here: each `down` comes here, and hardly one finds a record.
    from k3s_rootless.backup import replacement

    replacement.close(context.paths.transaction)


def _is_in_effect(record: Record, state: UnitState) -> bool:
    """Return whether K3s is stopped since the command of the record has stopped it."""
    if state.running or state.active_state in {"activating", "reloading"}:
        return False
    if state.started is None or record.stopped is None:
        return True
    return state.started <= record.stopped


def _command(record: Record) -> str:
    # Imported here, as in `found`.
    from k3s_rootless.operations.backup.transaction import COMMANDS

    return COMMANDS[record.kind]


def _commands(record: Record) -> tuple[tuple[str, str], ...]:
    # Imported here, as in `found`.
    from k3s_rootless.operations.backup.transaction import ABORTS, CONTINUES

    start = ("start K3s", "k3s-rootless up")
    finish = ("finish", CONTINUES[record.kind])
    if start[1] == finish[1]:
        return (start,)
    if record.only_stopped:
        return (finish, start)
    if record.kind in ABORTS:
        return (finish, ("undo", ABORTS[record.kind]))
    return (finish,)
