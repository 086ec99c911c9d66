"""Continue or undo an upgrade or a rollback that was interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.backup.facts import Kind, Phase, Record
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations.backup import stopping, surroundings, transaction, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.backup.transaction import Ended, Outcome
from k3s_rootless.operations.upgrade.ending import Ending, remember
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.systemd.user import UserManager

SECONDS = 600.0
"""The time limit without progress, unless it is an option."""
_KINDS = frozenset((Kind.UPGRADE, Kind.ROLLBACK))


@dataclass(frozen=True, slots=True)
class Resumed:
    """The end of a transaction that was interrupted.

    `downtime` is in seconds, and `backup` the backup of the earlier release; None if the
    transaction was undone.
    """

    ended: Ended
    downtime: float | None = None
    backup: Path | None = None


def resume(context: Context, seconds: float, *, undo: bool) -> Resumed:
    """Continue or undo the open upgrade or rollback.

    Raises UsageError if there is none, RootlessError with the cause if K3s does not get ready.
    """
    with context.manager() as manager, context.locked():
        record = unfinished.found(context)
        if record is None or record.kind not in _KINDS:
            raise UsageError(
                "cannot continue or undo an upgrade: no upgrade and no rollback is unfinished",
                hint="k3s-rootless upgrade",
            )
        return _resume(context, manager, record, seconds, undo=undo)


def before_start(context: Context, seconds: float | None) -> None:
    """Continue or undo an open upgrade or rollback, before K3s is started; report which.

    Of a restore, only an undo that had begun is finished. Raises RootlessError for any other open
    restore and for a reset, or if K3s does not get ready.
    """
    with context.manager() as manager, context.locked():
        record = unfinished.continued_by_up(context)
        if record is None:
            return
        _resume(context, manager, record, seconds or SECONDS, undo=False)


def clear(context: Context, manager: UserManager, seconds: float) -> None:
    """Remove what a transaction left that had changed nothing, and let K3s run again.

    The caller holds the lock. Raises RootlessError for any other open transaction.
    """
    record = unfinished.found(context)
    if record is None:
        return
    cluster = SystemdCluster(context, manager, seconds, patient=True)
    if record.only_stopped:
        _start_again(context, manager, cluster)
        return
    if record.phase is not Phase.STAGING or record.kind is Kind.RESET:
        raise unfinished.error(record)
    context.notice(f"an interrupted {record.name} is {_course(record)}")
    transaction.give_up(context, record, cluster)


def _start_again(context: Context, manager: UserManager, cluster: Cluster) -> None:
    if unfinished.stopped(context, manager.unit(UNIT)):
        stopping.start_again(context, cluster)
        cluster.wait()
    else:
        unfinished.forget_stop(context)


def _resume(
    context: Context, manager: UserManager, record: Record, seconds: float, *, undo: bool
) -> Resumed:
    here = surroundings.read(context, manager)
    cluster = SystemdCluster(context, manager, seconds, patient=True)
    if undo:
        return aborted(context, record, cluster)
    return continued(context, record, cluster, here)


def continued(context: Context, record: Record, cluster: Cluster, here: Surroundings) -> Resumed:
    """Continue a transaction, or its undo if that had begun. Raises RootlessError."""
    context.notice(f"an interrupted {record.name} is {_course(record)}")
    ending = Ending(context, here)
    try:
        ended = transaction.resume(context, record, cluster, ending)
    except RootlessError as error:
        if error.details.get("rolled_back"):
            remember(context, record, done=False, backup=record.archive)
        raise
    _report(context, ended)
    return Resumed(ended, ending.downtime, ending.backup)


def aborted(context: Context, record: Record, cluster: Cluster) -> Resumed:
    """Undo a transaction. Raises RootlessError if that is not possible any more."""
    context.notice(f"an interrupted {record.name} is undone")
    ended = transaction.abort(context, record, cluster)
    _report(context, ended)
    return Resumed(ended)


def _course(record: Record) -> str:
    if record.phase is Phase.STAGING:
        return "removed: it had changed nothing"
    if record.phase in {Phase.UNDOING, Phase.UNDONE}:
        return "undone, as it was about to be"
    return "continued"


def _report(context: Context, ended: Ended) -> None:
    """Report an undo, and add it to the history."""
    if ended.outcome is not Outcome.UNDONE:
        return
    if ended.record.switch is None:
        context.notice("the earlier state was put back")
        return
    remember(context, ended.record, done=False, backup=ended.record.archive)
    context.notice(f"K3s {ended.record.switch.before} is in use again, with its datastore")
    if kept := transaction.kept_datastore(ended.record):
        context.notice(kept)
