"""Create a backup of the cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__, atomic
from k3s_rootless.backup import archive, database, datastores, etcd_files, files, names, staging
from k3s_rootless.backup.facts import Datastore, Entry, LeftOut, Manifest, Parts, Root, Volumes
from k3s_rootless.backup.manifest import VOLUMES
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations.backup import document as documents
from k3s_rootless.operations.backup import (
    etcd_snapshot,
    stopping,
    surroundings,
    unfinished,
    volume_access,
)
from k3s_rootless.operations.backup.running_cluster import SystemdCluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3s_rootless.backup.facts import Collected
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

READY_SECONDS = 300.0
_LIVE = "copy the volumes while K3s runs, in its user namespace: leave out --stop"


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `backup create`.

    `output` is a file or a directory, None for the directory of backups. `stop` stops K3s while the
    files are copied. `force` replaces an existing file. `volumes` and `images` add these parts.
    `scheduled` marks a backup that a later scheduled backup may delete.
    """

    output: Path | None = None
    stop: bool = False
    force: bool = False
    volumes: bool = False
    images: bool = False
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
        cluster = SystemdCluster(context, manager, READY_SECONDS)
        interrupted = unfinished.stopped(context, here.state)
        if interrupted and not request.stop:
            stopping.start_again(context, cluster)
            here = surroundings.read(context, manager)
        stop = request.stop and (here.state.running or interrupted)
        if request.volumes:
            access = volume_access.of(context, here.settings.rootlesskit_state)
            access.require(without_k3s=stop, hint=_LIVE)
        created = write(context, request, here, cluster if stop else None)
        if stop:
            cluster.wait()
        return created


def write(
    context: Context, request: Request, here: Surroundings, stopped: Cluster | None
) -> Created:
    """Copy the files and write the archive; `stopped` is stopped while the files are copied.

    Raises RootlessError.
    """
    surroundings.require_datastore(here)
    now = datetime.now(UTC)
    path = _path(context, request, now)
    parts = Parts(request.volumes, request.images)
    downtime = None
    with staging.directory(context.paths.backups) as folder:
        if stopped is None:
            copying = _Copying(context, here, folder, parts, here.in_use)
            manifest = copying.manifest(now)
        else:
            begun = time.monotonic()
            with stopping.stopped(context, stopped, now):
                copying = _Copying(context, here, folder, parts, live=False)
                manifest = copying.manifest(now)
            downtime = time.monotonic() - begun
        context.notice(f"writing {path}")
        size = archive.write(path, manifest, folder, force=request.force)
        try:
            # After the archive is complete: the check can change the copy of a write-ahead log.
            datastores.check(folder, here.datastore)
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


@dataclass(frozen=True, slots=True)
class _Copying:
    """A backup that is being created: the copies are in `folder`."""

    context: Context
    here: Surroundings
    folder: Path
    parts: Parts
    live: bool

    def manifest(self, now: datetime) -> Manifest:
        """Copy all files, and return the manifest."""
        here = self.here
        collected = files.collect(
            here.data,
            self.context.paths.home,
            here.roots[Root.UNIT],
            here.configuration,
            self.parts,
        )
        entries = [*self._datastore(), *self._files(collected)]
        copied = {one.name for one in entries}
        gone = (
            LeftOut(str(one.path), "it was removed while the backup was created")
            for one in collected.sources
            if one.name not in copied
        )
        left_out = [*collected.left_out, *gone]
        volumes = None
        # After the datastore: each volume in the datastore has its directory by now.
        if self.parts.volumes:
            volumes = self._volumes(entries, left_out)
        revision = datastores.revision(self.folder, here.datastore)
        return Manifest(
            created=now,
            tool=__version__,
            origin=here.origin,
            datastore=here.datastore,
            live=self.live,
            revision=revision,
            entries=staging.with_index(self.folder, entries),
            left_out=tuple(left_out),
            volumes=volumes,
        )

    def _files(self, collected: Collected) -> Iterator[Entry]:
        for source in collected.sources:
            found = staging.copy(source, self.folder)
            if found is not None:
                yield found

    def _datastore(self) -> tuple[Entry, ...]:
        if self.here.datastore is Datastore.SQLITE:
            return self._database()
        if self.live:
            self.context.notice("saving a snapshot of etcd while K3s runs")
            return (etcd_snapshot.save(self.context, self.here.data, self.folder),)
        self.context.notice("copying the datastore of the stopped K3s")
        return etcd_files.copy_stopped(self.here.data, self.folder)

    def _database(self) -> tuple[Entry, ...]:
        source = self.here.data / names.DATABASE_DIRECTORY
        prefix = f"{Root.DATA.value}/{names.DATABASE_DIRECTORY}"
        target = self.folder / prefix
        target.mkdir(mode=0o700, parents=True)
        if self.live:
            self.context.notice("copying the datastore while K3s runs")
            database.copy_live(source / names.DATABASE, target / names.DATABASE)
            copied: tuple[str, ...] = (names.DATABASE,)
        else:
            self.context.notice("copying the datastore of the stopped K3s")
            copied = database.copy_stopped(source, target)
        return tuple(staging.entry(self.folder, f"{prefix}/{name}") for name in copied)

    def _volumes(self, entries: list[Entry], left_out: list[LeftOut]) -> Volumes | None:
        """Copy the volumes, and add their entry and what is left out; None if there are none."""
        root = self.here.roots[Root.VOLUMES]
        if not root.is_dir():
            self.context.notice(f"there are no volumes: {root} does not exist")
            return None
        self.context.notice(f"copying the volumes in {root}")
        target = self.folder / VOLUMES
        target.parent.mkdir(mode=0o700)
        access = volume_access.of(self.context, self.here.settings.rootlesskit_state)
        packed = access.pack(root, target)
        entries.append(staging.entry(self.folder, VOLUMES))
        left_out += [LeftOut(f"{layout.STORAGE}/{path}", why) for path, why in packed.left_out]
        if packed.more:
            left_out.append(LeftOut(layout.STORAGE, f"{packed.more} more files of these kinds"))
        return Volumes(
            files=packed.files,
            content=packed.content,
            largest_id=packed.largest_id,
            names=tuple(packed.names),
            changed=packed.changed,
            consistent=not self.live,
        )
