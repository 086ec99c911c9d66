"""Find restores, resets and stops of K3s that an interrupted command has not finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import StopRecord
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

CONTINUE = "k3s-rootless backup restore --continue"
ABORT = "k3s-rootless backup restore --abort"
HINT = f"finish it with: {CONTINUE} (or undo it with: {ABORT})"
_RESET = "k3s-rootless reset"
_START = "k3s-rootless up"


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
    """Raise RootlessError if a restore or a reset is not finished.

    It may have stopped K3s, and its drop-in prevents a start. A restore that has changed nothing
    yet counts, too.
    """
    require_no_restore(context)
    data = _reset_directory(context)
    if data:
        raise RootlessError(
            f"cannot continue: a reset of `{data}` is not finished",
            hint=f"finish it with: {_RESET}",
        )


def require_no_restore(context: Context) -> None:
    """Raise RootlessError if a restore is not finished."""
    archive = _restored_archive(context)
    if archive:
        raise RootlessError(f"cannot continue: a restore of `{archive}` is not finished", hint=HINT)


def find(context: Context, state: UnitState | None) -> Unfinished | None:
    """Return the work that is not finished. Raises RootlessError if its record is damaged.

    `state` is the unit; None if it is unknown.
    """
    archive = _restored_archive(context)
    if archive:
        problem = f"a restore of `{archive}` is not finished, and K3s cannot start until it is"
        return Unfinished("backup restore", problem, (("finish", CONTINUE), ("undo", ABORT)))
    data = _reset_directory(context)
    if data:
        problem = f"a reset of `{data}` is not finished"
        return Unfinished("reset", problem, (("finish", _RESET),))
    if state is None or stopped(context, state) is None:
        return None
    problem = "a backup with --stop was interrupted after it had stopped K3s"
    return Unfinished("backup create", problem, (("start K3s", _START),))


def stopped(context: Context, state: UnitState) -> StopRecord | None:
    """Return the record of a backup that has stopped K3s and did not start it again.

    None if K3s was started since. Raises RootlessError if the record is damaged.
    """
    record = _stop_record(context)
    if record is None or record.data is not None:
        return None
    if state.running or state.active_state in {"activating", "reloading"}:
        return None
    if state.started is not None and state.started > record.since:
        return None
    return record


def forget_stop(context: Context) -> None:
    """Remove the record of a backup that has stopped K3s, since the user decided about K3s.

    Raises RootlessError.
    """
    if not context.paths.stop_record.exists() or _reset_directory(context):
        return
    # Imported here: each `down` comes here, and hardly one finds a record.
    from k3s_rootless.backup import stop_record

    stop_record.remove(context.paths.stop_record)


def _restored_archive(context: Context) -> str:
    file = context.paths.restore_record
    if not file.exists():
        return ""
    # Imported here: each `up`, `restart` and `status` comes here, and hardly one finds a record.
    from k3s_rootless.backup import replacement

    record = replacement.load(file)
    if record is None:
        return ""
    return str(record.archive)


def _reset_directory(context: Context) -> str:
    record = _stop_record(context)
    if record is None or record.data is None:
        return ""
    return str(record.data)


def _stop_record(context: Context) -> StopRecord | None:
    file = context.paths.stop_record
    if not file.exists():
        return None
    # Imported here for the same reason as above.
    from k3s_rootless.backup import stop_record

    return stop_record.load(file)
