"""What follows once K3s is ready with the other release: its backup, and the history.

The backup contains everything up to the stop of the earlier release. It is written while the new
release runs, from the copies that an undo would have used.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from k3s_rootless import __version__
from k3s_rootless.backup import (
    archive,
    datastores,
    etcd_files,
    files,
    names,
    replacement,
    staging,
)
from k3s_rootless.backup.facts import Datastore, Kind, Manifest, Record, Root, Source
from k3s_rootless.binaries import store
from k3s_rootless.binaries.facts import Passage
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations.context import WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

_ETCD_LOG = PurePath(layout.ETCD_LOG).relative_to(layout.ETCD)


class Ending:
    """The work after the start with the other release.

    `downtime` is then the time in seconds since the stop, and `backup` the backup of the earlier
    release. If the backup cannot be completed, it is the one from before the stop.
    """

    def __init__(self, context: Context, here: Surroundings) -> None:
        self._context = context
        self._here = here
        self.downtime: float | None = None
        self.backup: Path | None = None

    def __call__(self, record: Record) -> None:
        """Write the backup and the history."""
        self.downtime = since_stop(record)
        self.backup = record.archive
        if record.kind is Kind.UPGRADE and record.archive is not None:
            self.backup = self._completed(record) or record.archive
        remember(self._context, record, done=True, backup=self.backup, downtime=self.downtime)

    def _completed(self, record: Record) -> Path | None:
        """Write the backup of the stopped cluster, which replaces the earlier one."""
        try:
            return completed(self._context, self._here, record)
        except RootlessError as error:
            self._context.notice(
                f"cannot complete the backup: {error.message}; {record.archive} has everything"
                " until shortly before K3s was stopped"
            )
            return None


def since_stop(record: Record) -> float | None:
    """Return the seconds since K3s was stopped; None if it was not running."""
    if record.stopped is None or not record.running:
        return None
    return max(0.0, (datetime.now(UTC) - record.stopped).total_seconds())


def remember(
    context: Context,
    record: Record,
    *,
    done: bool,
    backup: Path | None = None,
    downtime: float | None = None,
) -> None:
    """Add a transaction to the history; a failure is reported only."""
    switch = record.switch
    if switch is None or record.stopped is None:
        return
    kept = None
    if backup is not None:
        kept = str(backup)
    passage = Passage(
        record.kind.value,
        switch.before,
        switch.after,
        record.stopped,
        done,
        downtime,
        kept,
    )
    try:
        with store.changing(context.paths.own, lambda: context.notice(WAITING)):
            store.add_passage(context.paths.own, passage)
    except RootlessError as error:
        context.notice(f"cannot add this {record.kind.value} to the history: {error.message}")


def completed(context: Context, here: Surroundings, record: Record) -> Path:
    """Write a backup from the copies of the record, and remove the one from before the stop.

    Raises RootlessError.
    """
    stopped = record.stopped or datetime.now(UTC)
    path = context.paths.backups / names.archive(stopped)
    with staging.directory(context.paths.backups) as folder:
        manifest = _manifest(context, here, record, stopped, folder)
        archive.write(path, manifest, folder, force=True)
        # After the archive is complete: the check can change the copy of a write-ahead log.
        try:
            datastores.check(folder, manifest.datastore)
        except RootlessError:
            path.unlink()
            raise
    if record.archive is not None and record.archive != path:
        record.archive.unlink(missing_ok=True)
    return path


def _manifest(
    context: Context, here: Surroundings, record: Record, stopped: datetime, folder: Path
) -> Manifest:
    collected = files.collect(
        here.data, context.paths.home, here.roots[Root.UNIT], here.configuration
    )
    changed = {one.path for one in record.paths}
    sources = [one for one in collected.sources if not _inside(one.path, changed)]
    sources += _copies(here, record)
    entries = [one for source in sources if (one := staging.copy(source, folder))]
    datastore = _datastore(here)
    return Manifest(
        created=stopped,
        tool=__version__,
        origin=replace(here.origin, k3s=record.switch.before if record.switch else None),
        datastore=datastore,
        live=False,
        revision=datastores.revision(folder, datastore),
        entries=staging.with_index(folder, entries),
        left_out=collected.left_out,
    )


def _datastore(here: Surroundings) -> Datastore:
    """Return which datastore was copied: the new release may use another one by now."""
    if (replacement.copy_of(here.data / layout.ETCD) / _ETCD_LOG).is_dir():
        return Datastore.ETCD
    return Datastore.SQLITE


def _copies(here: Surroundings, record: Record) -> Iterator[Source]:
    """Yield the copies, with the names that their originals have in a backup."""
    for one in record.paths:
        copy = replacement.copy_of(one.path)
        for root in (Root.DATA, Root.UNIT):
            directory = here.roots[root]
            if one.path.is_relative_to(directory):
                name = f"{root.value}/{one.path.relative_to(directory)}"
                yield from _files(copy, name)
                break


def _files(copy: Path, name: str) -> Iterator[Source]:
    if copy.is_symlink() or etcd_files.is_allocated(copy):
        return
    if copy.is_file():
        yield Source(copy, name)
    elif copy.is_dir():
        for entry in sorted(copy.iterdir()):
            yield from _files(entry, f"{name}/{entry.name}")


def _inside(path: Path, directories: set[Path]) -> bool:
    return any(one in directories for one in (path, *path.parents))
