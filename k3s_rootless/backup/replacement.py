"""Replace the files of a cluster by those of a backup, so that each step can be undone.

The new content is written beside each path first, under a hidden name. Then each path is moved to
another hidden name, and the new content is moved to the path. A path that a new release of K3s
changes in place is copied to that hidden name instead. A record names all paths and the phase. From
the record and the names that exist, another process can continue or undo the work after this one
was killed at any point.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import beside, copies, names, new_content
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Kind, Manifest, Phase, Record, Replaced, Slot
from k3s_rootless.backup.new_content import NOTHING, Staged
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout

if TYPE_CHECKING:
    from k3s_rootless.backup.volumes.in_namespace import InNamespace

_DATASTORES = frozenset((names.DATABASE, PurePath(layout.ETCD).name))


def stage(
    file: Path,
    archive: Path,
    slots: tuple[Slot, ...],
    judge: Callable[[Manifest], None],
    *,
    running: bool,
    staged: Staged = NOTHING,
) -> Record:
    """Write the new content beside the paths, and the record to `file`. No path is changed.

    `running` is True if K3s runs. Raises RootlessError, and leaves nothing in that case.
    """
    paths = tuple(
        Replaced(one.path, bool(one.names), volumes=one.volumes, snapshot=one.snapshot)
        for one in slots
    )
    paths += tuple(Replaced(path, new=False, copied=True) for path in staged.copied)
    record = Record(
        Phase.STAGING,
        archive,
        paths,
        running,
        Kind.RESTORE if staged.switch is None else Kind.ROLLBACK,
        staged.switch,
        expected=staged.expected,
    )
    begin(file, record)
    try:
        new_content.write(archive, paths, slots, judge, staged)
    except BaseException:
        discard(file, record, staged.within)
        raise
    return record


def begin(file: Path, record: Record) -> None:
    """Write the record of a transaction that has changed nothing. Raises RootlessError."""
    for one in record.paths:
        _require_absent(copy_of(one.path))
    with beside.reported("begin"):
        records.save(file, record)


def copy_of(path: Path) -> Path:
    """Return where the earlier content of a path is kept until the transaction ends."""
    return beside.of(path, beside.OLD)


def discard(file: Path, record: Record, within: InNamespace | None = None) -> None:
    """Remove the staged content and the record; no path was changed. Raises RootlessError."""
    with beside.reported("remove the staged files"):
        for one in record.paths:
            beside.clear(one, beside.NEW, within)
            if one.copied:
                copies.remove(copy_of(one.path))
        file.unlink(missing_ok=True)


def replace(file: Path, record: Record, switch: Callable[[], None] = lambda: None) -> Record:
    """Move the paths away and the new content to them. K3s must be stopped.

    `switch` changes the release of K3s, and lets it read a snapshot; it can be called again. Also
    continues this work after a process was killed. Raises RootlessError; `undo` is then possible.
    """
    if record.phase is Phase.PLACED:
        return record
    with beside.reported("replace the files of K3s"):
        if record.phase is Phase.STAGING:
            record = _ready_to_replace(file, record)
        for one in record.paths:
            if not one.copied:
                _replace(one)
    switch()
    with beside.reported("replace the files of K3s"):
        return records.advance(file, record, Phase.PLACED)


def _ready_to_replace(file: Path, record: Record) -> Record:
    # The files of the datastore change while K3s stops, so all this is read only now.
    for one in record.paths:
        if one.copied:
            copies.update(one.path, copy_of(one.path))
    paths = tuple(changed(one, old=os.path.lexists(one.path)) for one in record.paths)
    return records.advance(file, changed(record, paths=paths), Phase.REPLACING)


def undo(
    file: Path,
    record: Record,
    switch_back: Callable[[], None] = lambda: None,
    within: InNamespace | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Record:
    """Move what was replaced back to its paths. K3s must be stopped; `close` removes the record.

    The datastore that a failed upgrade has written is kept: see `Record.failed` of the returned
    record. `warn` gets the reasons why volumes of the backup could not be removed: the next restore
    removes them. Also continues this work after a process was killed. Raises RootlessError.
    """
    with beside.reported("put back the files of K3s"):
        record = records.advance(file, _with_failed(record), Phase.UNDOING)
        for one in record.paths:
            _undo(one)
    switch_back()
    with beside.reported("put back the files of K3s"):
        for one in record.paths:
            _keep_failed(record, one)
            for kind in (beside.NEW, beside.UNDONE):
                try:
                    beside.clear(one, kind, within)
                except RootlessError as error:
                    warn(f"cannot remove {beside.of(one.path, kind)}: {error.message}")
        return records.advance(file, record, Phase.UNDONE)


def _with_failed(record: Record) -> Record:
    """Name the directory for the datastore, if the new release may have written to it."""
    if record.kind is not Kind.UPGRADE or record.phase is not Phase.PLACED or not record.switch:
        return record
    for one in record.paths:
        if one.path.name in _DATASTORES and record.stopped is not None:
            stamp = record.stopped.strftime("%Y%m%dT%H%M%SZ")
            name = f"failed-upgrade-{record.switch.after}-{stamp}"
            return changed(record, failed=one.path.parent / name)
    return record


def _keep_failed(record: Record, one: Replaced) -> None:
    undone = beside.of(one.path, beside.UNDONE)
    if record.failed is None or one.path.parent != record.failed.parent:
        return
    if os.path.lexists(undone):
        record.failed.mkdir(mode=0o700, exist_ok=True)
        undone.rename(record.failed / one.path.name)
        atomic.sync(record.failed)
        atomic.sync(one.path.parent)


def close(file: Path) -> None:
    """Remove the record of a transaction that is undone. Raises RootlessError."""
    with beside.reported("finish"):
        records.remove(file)


def ready(file: Path, record: Record) -> Record:
    """Record that K3s is ready, so that the transaction is not undone any more.

    Raises RootlessError.
    """
    with beside.reported("finish"):
        return records.advance(file, record, Phase.READY)


def finish(file: Path, record: Record, within: InNamespace | None = None) -> None:
    """Remove what was replaced, and then the record. Raises RootlessError."""
    record = ready(file, record)
    with beside.reported("remove the replaced files"):
        for one in record.paths:
            for kind in (beside.OLD, beside.NEW, beside.UNDONE):
                beside.clear(one, kind, within)
        records.remove(file)


def _replace(one: Replaced) -> None:
    new, old = beside.of(one.path, beside.NEW), beside.of(one.path, beside.OLD)
    if one.snapshot:
        # K3s writes the path, from the snapshot in its place.
        if one.old and not os.path.lexists(old):
            one.path.rename(old)
            atomic.sync(one.path.parent)
        return
    waiting = os.path.lexists(new) if one.new else True
    if one.old and waiting and not os.path.lexists(old):
        one.path.rename(old)
        atomic.sync(one.path.parent)
    if one.new and waiting:
        new.rename(one.path)
        atomic.sync(one.path.parent)


def _undo(one: Replaced) -> None:
    old, undone = beside.of(one.path, beside.OLD), beside.of(one.path, beside.UNDONE)
    there = os.path.lexists(one.path)
    if one.old and not os.path.lexists(old):
        return  # it was not moved, or was already put back
    if there:
        # Also what a K3s wrote that was started with the backup, such as a write-ahead log: it must
        # not meet the earlier datastore.
        copies.remove(undone)
        one.path.rename(undone)
    if one.old:
        old.rename(one.path)
    if there or one.old:
        atomic.sync(one.path.parent)


def _require_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise RootlessError(
            f"cannot restore: `{path}` exists, and no record says why",
            hint=f"it is from an earlier restore; look at it, then move it away: ls -l {path}",
        )
