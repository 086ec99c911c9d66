"""Replace the files of a cluster by those of a backup, so that each step can be undone.

The new content is written beside each path first, under a hidden name. Then each path is moved to
another hidden name, and the new content is moved to the path. A record names all paths and the
phase. From the record and the names that exist, another process can continue or undo the work after
this one was killed at any point.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import IO, TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import restore_record, verify
from k3s_rootless.backup.facts import (
    UNKNOWN,
    Entry,
    Expected,
    Manifest,
    Phase,
    Record,
    Replaced,
    Slot,
)
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.backup.volumes.members import Readable

_NEW = "restored"
_OLD = "replaced"
_UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Staged:
    """What a restore needs besides the archive.

    `within` unpacks and removes volumes. `contents` are prepared files that take the place of
    entries of the archive. `expected` is what K3s's settings must be after the restore.
    """

    within: InNamespace | None = None
    contents: Mapping[str, Path] = field(default_factory=dict)
    expected: Expected = UNKNOWN


NOTHING = Staged()


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
    paths = tuple(Replaced(one.path, bool(one.names), volumes=one.volumes) for one in slots)
    record = Record(Phase.STAGING, archive, paths, running, staged.expected)
    for one in record.paths:
        _require_absent(_beside(one.path, _OLD))
    with _reported("stage the backup"):
        restore_record.save(file, record)
        for one in record.paths:
            for kind in (_NEW, _UNDONE):
                _clear(one, kind, staged.within)
    places = {name: _place(slot, name) for slot in slots for name in slot.names}
    original = {name: path for name, path in places.items() if name not in staged.contents}
    try:
        volumes = _volumes_target(slots, staged.within)
        verify.read(archive, lambda entry: _target(original, entry), judge, volumes)
        with _reported("stage the backup"):
            for name, source in staged.contents.items():
                _take(source, places[name])
            _sync_staged(record)
    except BaseException:
        discard(file, record, staged.within)
        raise
    return record


def discard(file: Path, record: Record, within: InNamespace | None = None) -> None:
    """Remove the staged content and the record; no path was changed. Raises RootlessError."""
    with _reported("remove the staged backup"):
        for one in record.paths:
            _clear(one, _NEW, within)
        file.unlink(missing_ok=True)


def replace(file: Path, record: Record) -> Record:
    """Move the paths away and the new content to them. K3s must be stopped.

    Also continues this work after a process was killed. Raises RootlessError; `undo` is then
    possible.
    """
    with _reported("replace the files of K3s"):
        if record.phase is Phase.STAGING:
            # The files of the datastore change while K3s stops, so this is read only now.
            paths = tuple(changed(one, old=os.path.lexists(one.path)) for one in record.paths)
            record = changed(record, phase=Phase.REPLACING, paths=paths)
            restore_record.save(file, record)
        for one in record.paths:
            _replace(one)
        return _advance(file, record, Phase.PLACED)


def undo(file: Path, record: Record, within: InNamespace | None = None) -> tuple[str, ...]:
    """Move what was replaced back to its paths, and remove the record. K3s must be stopped.

    Also continues this work after a process was killed. Returns the reasons why volumes of the
    backup could not be removed: the next restore removes them. Raises RootlessError.
    """
    left = []
    with _reported("put back the files of K3s"):
        record = _advance(file, record, Phase.UNDOING)
        for one in record.paths:
            _undo(one)
        for one in record.paths:
            for kind in (_NEW, _UNDONE):
                try:
                    _clear(one, kind, within)
                except RootlessError as error:
                    left.append(f"cannot remove {_beside(one.path, kind)}: {error.message}")
        file.unlink(missing_ok=True)
        atomic.sync(file.parent)
    return tuple(left)


def finish(file: Path, record: Record, within: InNamespace | None = None) -> None:
    """Remove what was replaced, and then the record. Raises RootlessError."""
    with _reported("remove the replaced files"):
        record = _advance(file, record, Phase.READY)
        for one in record.paths:
            for kind in (_OLD, _NEW, _UNDONE):
                _clear(one, kind, within)
        file.unlink(missing_ok=True)
        atomic.sync(file.parent)


def _replace(one: Replaced) -> None:
    new, old = _beside(one.path, _NEW), _beside(one.path, _OLD)
    waiting = os.path.lexists(new) if one.new else True
    if one.old and waiting and not os.path.lexists(old):
        one.path.rename(old)
        atomic.sync(one.path.parent)
    if one.new and waiting:
        new.rename(one.path)
        atomic.sync(one.path.parent)


def _undo(one: Replaced) -> None:
    old, undone = _beside(one.path, _OLD), _beside(one.path, _UNDONE)
    there = os.path.lexists(one.path)
    if one.old and not os.path.lexists(old):
        return  # it was not moved, or was already put back
    if there:
        # Also what a K3s wrote that was started with the backup, such as a write-ahead log: it must
        # not meet the earlier datastore.
        _remove(undone)
        one.path.rename(undone)
    if one.old:
        old.rename(one.path)
    if there or one.old:
        atomic.sync(one.path.parent)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.k3s-rootless-{kind}")


def _place(slot: Slot, name: str) -> Path:
    rest = name.removeprefix(slot.entry).lstrip("/")
    staged = _beside(slot.path, _NEW)
    return staged / rest if rest else staged


@contextmanager
def _target(places: dict[str, Path], entry: Entry) -> Iterator[IO[bytes] | None]:
    path = places.get(entry.name)
    if path is None:
        yield None
        return
    try:
        _make_private(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
            yield file
            atomic.finish(file, entry.mode & 0o777)
            os.utime(file.fileno(), (entry.modified, entry.modified))
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise RootlessError(
            f"cannot unpack `{entry.name}` to `{path}`: {atomic.reason(error)}",
            hint=f"see how much space is left: df -h {path.parent}",
        ) from error


def _volumes_target(slots: tuple[Slot, ...], within: InNamespace | None) -> verify.VolumesTarget:
    path = next((one.path for one in slots if one.volumes), None)
    if path is None or within is None:
        return verify.check_volumes
    new = _beside(path, _NEW)

    def unpack(_: Manifest, stream: Readable) -> None:
        with _reported("unpack the volumes"):
            _make_private(new.parent)
        within.unpack(stream, new)

    return unpack


def _take(source: Path, path: Path) -> None:
    """Write a copy of a prepared file, with its mode and time."""
    # Imported here, because only a restore needs it.
    import shutil

    _make_private(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reading, open(descriptor, "wb") as file:  # noqa: PTH123
        shutil.copyfileobj(reading, file, 2**20)
        found = os.fstat(reading.fileno())
        atomic.finish(file, found.st_mode & 0o777)
        os.utime(file.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))


def _make_private(directory: Path) -> None:
    """Create a directory and its missing parents with mode 0700."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700)


def _sync_staged(record: Record) -> None:
    for one in record.paths:
        new = _beside(one.path, _NEW)
        if not one.new:
            continue
        if not one.volumes:  # they are synced already
            for directory, _, _ in os.walk(new):
                atomic.sync(Path(directory))
        atomic.sync(new.parent)


def _require_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise RootlessError(
            f"cannot restore: `{path}` exists, and no record says why",
            hint=f"it is from an earlier restore; look at it, then move it away: ls -l {path}",
        )


def _remove(path: Path) -> None:
    # Imported here, because only a restore needs it.
    import shutil

    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except IsADirectoryError:
        shutil.rmtree(path)


def _clear(one: Replaced, kind: str, within: InNamespace | None) -> None:
    path = _beside(one.path, kind)
    if one.volumes and within is not None:
        within.remove(path)
    else:
        _remove(path)


def _advance(file: Path, record: Record, phase: Phase) -> Record:
    if record.phase is phase:
        return record
    advanced = changed(record, phase=phase)
    restore_record.save(file, advanced)
    return advanced


@contextmanager
def _reported(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RootlessError(
            f"cannot {action}: {error.filename or ''}: {atomic.reason(error)}",
            hint="see how much space is left, and look at the directory with ls -l",
        ) from error
