"""Stop K3s for a backup or a rotation, so that it is started again also after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless import interruption
from k3s_rootless.backup import replacement
from k3s_rootless.backup.facts import Kind, Phase, Record
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import unfinished

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.context import Context


@contextmanager
def stopped(
    context: Context, cluster: Cluster, now: datetime, kind: Kind = Kind.BACKUP
) -> Iterator[None]:
    """Stop K3s during the block, and start it again, also if a signal interrupts the block.

    If this process is killed, the record remains. Raises RootlessError.
    """
    file = context.paths.transaction
    record = Record(Phase.STAGING, None, (), running=True, kind=kind, stopped=now)
    with interruption.delayed() as signals:
        replacement.begin(file, record)
        try:
            cluster.stop()
        except RootlessError:
            if cluster.is_running():
                replacement.close(file)
            raise
        try:
            with signals.allowed():
                yield
        finally:
            cluster.start()
            replacement.close(file)


@contextmanager
def remembered(context: Context) -> Iterator[None]:
    """Keep the record of an interrupted backup if the block fails before it replaces this record.

    The transaction in the block has taken the place of the record, and is gone. Raises what the
    block raises.
    """
    record = unfinished.found(context)
    try:
        yield
    except BaseException:
        if record is not None and record.only_stopped and unfinished.found(context) is None:
            replacement.begin(context.paths.transaction, record)
        raise


def start_again(context: Context, cluster: Cluster) -> None:
    """Start a K3s that an interrupted command has stopped. Raises RootlessError."""
    record = unfinished.found(context)
    if record is not None:
        what = record.name
        context.notice(f"starting K3s: a {what} was interrupted after it had stopped K3s")
    cluster.start()
    replacement.close(context.paths.transaction)
