"""Create a backup of the cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__, atomic, interruption
from k3s_rootless.backup import archive, database, files, names, staging, stop_record
from k3s_rootless.backup.facts import Entry, LeftOut, Manifest, Root, StopRecord, Work
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import document as documents
from k3s_rootless.operations.backup import surroundings, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

READY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `backup create`.

    `output` is a file or a directory, None for the directory of backups. `stop` stops K3s while the
    files are copied. `force` replaces an existing file. `scheduled` marks a backup that a later
    scheduled backup may delete.
    """

    output: Path | None = None
    stop: bool = False
    force: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """A new backup. `downtime` is the time in seconds from stop to start, None without a stop."""

    path: Path
    size: int
    manifest: Manifest
    downtime: float | None = None


def create(context: Context, request: Request) -> Created:
    """Create a backup.

    While K3s runs, it keeps running, unless the request has `stop`. Raises WouldOverwrite if the
    file exists, unless the request has `force`; RootlessError if no backup can be created.
    """
    with context.manager() as manager, context.locked():
        unfinished.require_none(context)
        here = surroundings.read(context, manager)
        surroundings.require_sqlite(here)
        cluster = SystemdCluster(context, manager, READY_SECONDS)
        interrupted = unfinished.stopped(context, here.state) is not None
        if interrupted and not request.stop:
            start_again(context, cluster)
            here = surroundings.read(context, manager)
        stop = request.stop and (here.state.running or interrupted)
        created = write(context, request, here, cluster if stop else None)
        if stop:
            cluster.wait()
        return created


def start_again(context: Context, cluster: Cluster) -> None:
    """Start a K3s that an interrupted backup has stopped. Raises RootlessError."""
    context.notice("starting K3s: a backup with --stop was interrupted after it had stopped K3s")
    cluster.start()
    stop_record.remove(context.paths.stop_record)


def write(
    context: Context, request: Request, here: Surroundings, stopped: Cluster | None
) -> Created:
    """Copy the files and write the archive; `stopped` is stopped while the files are copied."""
    now = datetime.now(UTC)
    path = _path(context, request, now)
    downtime = None
    with staging.directory(context.paths.backups) as folder:
        if stopped is None:
            manifest = _stage(context, here, folder, now, live=here.in_use)
        else:
            begun = time.monotonic()
            with _stopped(context, stopped, now):
                manifest = _stage(context, here, folder, now, live=False)
            downtime = time.monotonic() - begun
        context.notice(f"writing {path}")
        size = archive.write(path, manifest, folder, force=request.force)
        try:
            # After the archive is complete: the check can change the copy of a write-ahead log.
            database.check(folder / Root.DATA.value / names.DATABASE_DIRECTORY / names.DATABASE)
        except RootlessError:
            path.unlink()
            raise
    return Created(path, size, manifest, downtime)


def document(created: Created, deleted: Iterable[Path] = ()) -> dict[str, Any]:
    """Return the JSON form of a new backup; `deleted` are older scheduled ones."""
    return {
        "backup": documents.backup(created.path, created.size, created.manifest),
        "left_out": documents.left_out(created.manifest),
        "downtime": created.downtime,
        "deleted": [str(path) for path in deleted],
        "errors": [],
    }


@contextmanager
def _stopped(context: Context, cluster: Cluster, now: datetime) -> Iterator[None]:
    """Stop K3s during the block, and start it again, also if a signal interrupts the block.

    If this process is killed, the record remains. Raises RootlessError.
    """
    file = context.paths.stop_record
    with interruption.delayed() as signals:
        stop_record.save(file, StopRecord(Work.BACKUP, now, running=True))
        try:
            cluster.stop()
        except RootlessError:
            if cluster.is_running():
                stop_record.remove(file)
            raise
        try:
            with signals.allowed():
                yield
        finally:
            cluster.start()
            stop_record.remove(file)


def _path(context: Context, request: Request, now: datetime) -> Path:
    path = request.output or context.paths.backups
    if request.output is None:
        try:
            atomic.make_directory(path)
        except OSError as error:
            raise RootlessError(
                f"cannot create `{path}`: {atomic.reason(error)}", hint="name a file with -o FILE"
            ) from error
    if path.is_dir():
        path /= names.archive(now, scheduled=request.scheduled)
    archive.require_free(path, force=request.force)
    return path


def _stage(
    context: Context, here: Surroundings, folder: Path, now: datetime, *, live: bool
) -> Manifest:
    """Copy all files, and return the manifest."""
    collected = files.collect(
        here.data, context.paths.home, here.roots[Root.UNIT], here.configuration
    )
    database_entries = _copy_database(context, here, folder, live=live)
    entries = [one for source in collected.sources if (one := staging.copy(source, folder))]
    copied = {one.name for one in entries}
    gone = (
        LeftOut(str(one.path), "it was removed while the backup was created")
        for one in collected.sources
        if one.name not in copied
    )
    target = folder / Root.DATA.value / names.DATABASE_DIRECTORY
    return Manifest(
        created=now,
        tool=__version__,
        origin=here.origin,
        datastore=here.datastore,
        live=live,
        revision=database.revision(target / names.DATABASE),
        entries=(*database_entries, *entries),
        left_out=(*collected.left_out, *gone),
    )


def _copy_database(
    context: Context, here: Surroundings, folder: Path, *, live: bool
) -> tuple[Entry, ...]:
    source = here.data / names.DATABASE_DIRECTORY
    prefix = f"{Root.DATA.value}/{names.DATABASE_DIRECTORY}"
    target = folder / prefix
    target.mkdir(mode=0o700, parents=True)
    if live:
        context.notice("copying the datastore while K3s runs")
        database.copy_live(source / names.DATABASE, target / names.DATABASE)
        copied: tuple[str, ...] = (names.DATABASE,)
    else:
        context.notice("copying the datastore of the stopped K3s")
        copied = database.copy_stopped(source, target)
    return tuple(staging.entry(folder, f"{prefix}/{name}") for name in copied)
