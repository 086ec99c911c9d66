"""Replace the files of a stopped K3s and start it, or put back what was there before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from k3s_rootless.backup import replacement, restore_record
from k3s_rootless.backup.facts import Phase, Record, Replaced, Slot
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.context import Context


def finish(context: Context, record: Record, cluster: Cluster) -> None:
    """Replace the files, start K3s, and remove what was replaced; K3s is stopped.

    Raises RootlessError after the earlier state is put back.
    """
    file = context.paths.restore_record
    try:
        cluster.hold()
        context.notice("replacing the files of K3s")
        record = replacement.replace(file, record)
        cluster.release()
        cluster.require(record.expected)
        cluster.start()
        cluster.wait()
    except RootlessError as error:
        context.notice(f"the restore failed, so the earlier state is put back: {error.message}")
        _undo_failed(context, restore_record.load(file) or record, cluster, error)
        raise RootlessError(
            f"cannot restore `{record.archive}`: {error.message}; the earlier state was put back",
            hint=error.hint,
        ) from error
    replacement.finish(file, record, volume_access(record.paths, cluster))


def _undo_failed(context: Context, record: Record, cluster: Cluster, error: RootlessError) -> None:
    """Put back what a failed restore has replaced. Raises RootlessError with both reasons."""
    try:
        cluster.stop()
        put_back(context, record, cluster)
    except RootlessError as second:
        hint = second.hint
        if context.paths.restore_record.exists():
            hint = "put back the earlier state with: k3s-rootless backup restore --abort"
        raise RootlessError(
            f"cannot restore `{record.archive}`: {error.message}; and with the earlier state:"
            f" {second.message}",
            hint=hint,
        ) from error


def put_back(context: Context, record: Record, cluster: Cluster) -> None:
    """Put back what was replaced; K3s is stopped."""
    if record.phase is Phase.STAGING:
        give_up(context, record, cluster)
        return
    cluster.hold()
    within = volume_access(record.paths, cluster)
    for warning in replacement.undo(context.paths.restore_record, record, within):
        context.notice(f"warning: {warning}")
    cluster.release()
    if record.running:
        cluster.start()
        cluster.wait()


def give_up(context: Context, record: Record, cluster: Cluster) -> None:
    """Remove what a restore has staged, and start K3s again if the restore has stopped it."""
    within = volume_access(record.paths, cluster)
    replacement.discard(context.paths.restore_record, record, within)
    cluster.release()
    if record.running and not cluster.is_running():
        cluster.start()
        cluster.wait()


def volume_access(paths: Iterable[Slot | Replaced], cluster: Cluster) -> InNamespace | None:
    """Return the way to the files of volumes; None if no path is their directory."""
    if any(one.volumes for one in paths):
        return cluster.volume_access()
    return None
