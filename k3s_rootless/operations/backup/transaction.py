"""Perform, continue and undo a transaction: a restore, an upgrade or a rollback.

From its record, each command can finish or undo it, wherever the earlier one was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from k3s_rootless.backup import beside, replacement
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Kind, Phase, Record, Replaced, Slot
from k3s_rootless.errors import NotReady, RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.context import Context

ABORTS = {
    Kind.RESTORE: "k3s-rootless backup restore --abort",
    Kind.UPGRADE: "k3s-rootless upgrade --abort",
    Kind.ROLLBACK: "k3s-rootless upgrade --abort",
}
CONTINUES = {
    Kind.RESTORE: "k3s-rootless backup restore --continue",
    Kind.UPGRADE: "k3s-rootless upgrade --continue",
    Kind.ROLLBACK: "k3s-rootless upgrade --continue",
    Kind.RESET: "k3s-rootless reset",
    Kind.BACKUP: "k3s-rootless up",
    Kind.ROTATION: "k3s-rootless certs rotate",
}
"""The commands that end a transaction. Nothing undoes a reset, or must be undone after a backup."""
COMMANDS = {
    Kind.RESTORE: "backup restore",
    Kind.UPGRADE: "upgrade",
    Kind.ROLLBACK: "rollback",
    Kind.RESET: "reset",
    Kind.BACKUP: "backup create",
    Kind.ROTATION: "certs rotate",
}
"""The commands that begin a transaction."""
_VERBS = {Kind.RESTORE: "restore", Kind.UPGRADE: "upgrade", Kind.ROLLBACK: "roll back"}
_SEPARATORS = {False: "; ", True: "\n"}

Ending = Callable[[Record], None]
"""Do what must follow once K3s is ready, before the earlier files are removed."""


class Outcome(Enum):
    """How a transaction has ended; `discarded` means that nothing had been replaced."""

    FINISHED = "finished"
    UNDONE = "undone"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a transaction, and its last record."""

    outcome: Outcome
    record: Record


def no_ending(record: Record) -> None:
    """Do nothing."""
    del record


def complete(
    context: Context, record: Record, cluster: Cluster, ending: Ending = no_ending
) -> Record:
    """Replace the files, start K3s, and remove what was replaced; K3s is stopped.

    Returns the last record. Raises RootlessError after the earlier state is put back.
    """
    file = context.paths.transaction
    try:
        if _is_starting(record, cluster):
            cluster.require(record.expected)
        else:
            record = _placed(context, record, cluster)
        cluster.wait(record.switch.after if record.switch else "")
    except RootlessError as error:
        raise _failed(context, records.load(file) or record, cluster, error) from error
    return _finished(context, record, cluster, ending)


def _is_starting(record: Record, cluster: Cluster) -> bool:
    """Return whether K3s was started with all new files, so that it must not be stopped again.

    It may be migrating its datastore.
    """
    return record.phase is Phase.PLACED and cluster.is_running()


def _placed(context: Context, record: Record, cluster: Cluster) -> Record:
    """Replace the files, and start K3s."""
    cluster.hold()
    context.notice("replacing the files of K3s")
    record = replacement.replace(context.paths.transaction, record, _switching(record, cluster))
    cluster.release()
    cluster.require(record.expected)
    cluster.start()
    return record


def resume(context: Context, record: Record, cluster: Cluster, ending: Ending = no_ending) -> Ended:
    """Continue a transaction, or its undo if that had begun. Raises RootlessError."""
    if record.phase is Phase.STAGING:
        give_up(context, record, cluster)
        return Ended(Outcome.DISCARDED, record)
    if record.phase is Phase.READY:
        return Ended(Outcome.FINISHED, _finished(context, record, cluster, ending))
    if record.phase is Phase.UNDONE:
        return Ended(Outcome.UNDONE, _started_again(context, record, cluster))
    if not _is_starting(record, cluster):
        cluster.stop()
    if record.phase is Phase.UNDOING:
        return Ended(Outcome.UNDONE, _put_back(context, record, cluster))
    return Ended(Outcome.FINISHED, complete(context, record, cluster, ending))


def abort(context: Context, record: Record, cluster: Cluster) -> Ended:
    """Undo a transaction. Raises RootlessError if that is not possible any more."""
    if record.phase is Phase.STAGING:
        give_up(context, record, cluster)
        return Ended(Outcome.DISCARDED, record)
    if record.phase is Phase.READY:
        raise RootlessError(
            f"cannot undo the {record.kind.value}: K3s was ready with it, and earlier files are"
            " being removed",
            hint=CONTINUES[record.kind],
        )
    if record.phase is Phase.UNDONE:
        return Ended(Outcome.UNDONE, _started_again(context, record, cluster))
    if not record.can_undo:
        raise RootlessError(
            f"cannot undo the {record.name}: there is no backup (--no-backup), and the new release"
            " may have changed the datastore",
            hint=CONTINUES[record.kind],
        )
    cluster.stop()
    return Ended(Outcome.UNDONE, _put_back(context, record, cluster))


def give_up(context: Context, record: Record, cluster: Cluster) -> None:
    """Start K3s again if the transaction has stopped it, and remove what was staged.

    On some hosts, only the user namespace of a running K3s allows to remove volumes.
    """
    starts = _let_run(record, cluster)
    try:
        if starts:
            cluster.wait()
    finally:
        discard(context, record, cluster)


def discard(context: Context, record: Record, cluster: Cluster) -> None:
    """Remove what was staged, and the record. Raises RootlessError."""
    within = volume_access(record.paths, cluster)
    replacement.discard(context.paths.transaction, record, within)


def volume_access(paths: Iterable[Slot | Replaced], cluster: Cluster) -> InNamespace | None:
    """Return the way to the files of volumes; None if no path is their directory."""
    if any(one.volumes for one in paths):
        return cluster.volume_access()
    return None


def action(record: Record) -> str:
    """Return what a transaction does, for an error after `cannot`."""
    verb = _VERBS[record.kind]
    if record.switch is None:
        return f"{verb} `{record.archive}`"
    return f"{verb} K3s from {record.switch.before} to {record.switch.after}"


def kept_datastore(record: Record) -> str:
    """Return where the datastore of a failed upgrade is; empty if there is none."""
    if record.failed is None or record.stopped is None or not record.failed.exists():
        return ""
    return (
        f"the datastore of the failed attempt is kept in `{record.failed}`: it can hold what was"
        f" written to the cluster since {record.stopped:%H:%M:%S} UTC"
    )


def _finished(context: Context, record: Record, cluster: Cluster, ending: Ending) -> Record:
    file = context.paths.transaction
    record = replacement.ready(file, record)
    ending(record)
    replacement.finish(file, record, volume_access(record.paths, cluster))
    return record


def _failed(
    context: Context, record: Record, cluster: Cluster, error: RootlessError
) -> RootlessError:
    """Put back what a failed transaction has replaced, and return the error with all reasons."""
    what = f"cannot {action(record)}: {error.message}"
    if not record.can_undo:
        replacement.finish(context.paths.transaction, record)
        return RootlessError(
            f"{what}; nothing was undone, because there is no backup (--no-backup)",
            hint=error.hint,
            details=error.details,
        )
    context.notice(
        f"the {record.kind.value} failed, so the earlier state is put back: {error.message}"
    )
    try:
        cluster.stop()
        undone = _put_back(context, record, cluster)
    except RootlessError as second:
        hint = second.hint
        if context.paths.transaction.exists():
            hint = f"put back the earlier state with: {ABORTS[record.kind]}"
        return RootlessError(f"{what}; and with the earlier state: {second.message}", hint=hint)
    # The first part can end with lines of evidence.
    lines = (what, _earlier(undone), kept_datastore(undone))
    return RootlessError(
        _SEPARATORS["\n" in what].join(filter(None, lines)),
        hint=_hint(undone, error),
        details={**error.details, **_details(undone)},
    )


def _hint(record: Record, error: RootlessError) -> str | None:
    """Return the hint of the cause; without a cause, how to find it in the earlier start."""
    if error.details.get("cause") not in {None, "unknown"}:
        return error.hint
    log = "read the log of that start with: k3s-rootless logs --previous"
    if isinstance(error, NotReady):
        return f"{log}; if it needs more time: {_repeated(record)} --timeout 1h"
    if record.switch is None:
        return error.hint
    return log


def _repeated(record: Record) -> str:
    """Return the command that begins the transaction again."""
    if record.switch is None:
        return f"k3s-rootless backup restore {record.archive}"
    return f"k3s-rootless {record.kind.value} {record.switch.after}"


def _earlier(record: Record) -> str:
    if record.switch is None:
        return "the earlier state was put back"
    state = "is in use again"
    if record.running:
        state = "runs again"
    return f"K3s {record.switch.before} {state}, with its datastore"


def _details(record: Record) -> dict[str, str | bool | None]:
    if record.switch is None:
        return {}
    failed = None
    if record.failed is not None and record.failed.exists():
        failed = str(record.failed)
    return {"rolled_back": True, "failed_datastore": failed}


def _put_back(context: Context, record: Record, cluster: Cluster) -> Record:
    """Put back what was replaced; K3s is stopped. Returns the last record."""
    if record.phase is Phase.STAGING:
        give_up(context, record, cluster)
        return record
    cluster.hold()
    record = replacement.undo(
        context.paths.transaction,
        record,
        _switching_back(record, cluster),
        volume_access(record.paths, cluster),
        lambda problem: context.notice(f"warning: {problem}"),
    )
    return _started_again(context, record, cluster)


def _started_again(context: Context, record: Record, cluster: Cluster) -> Record:
    """Start K3s after an undo if it was running before, and remove the record."""
    starts = _let_run(record, cluster)
    replacement.close(context.paths.transaction)
    if starts:
        cluster.wait()
    return record


def _let_run(record: Record, cluster: Cluster) -> bool:
    """Allow starts, and start K3s if it was running before; return whether it was started.

    The record still exists, so that the next command does this if this process is killed.
    """
    cluster.release()
    if not record.running or cluster.is_running():
        return False
    cluster.start()
    return True


def _switching(record: Record, cluster: Cluster) -> Callable[[], None]:
    """Return what follows once the files are replaced, before K3s may start."""

    def switch() -> None:
        if record.switch is not None:
            cluster.switch(record.switch)
        for one in record.paths:
            if one.snapshot:
                cluster.read_snapshot(beside.of(one.path, beside.NEW), record.expected)

    return switch


def _switching_back(record: Record, cluster: Cluster) -> Callable[[], None]:
    switch = record.switch
    if switch is None:
        return lambda: None
    return lambda: cluster.switch_back(switch)
