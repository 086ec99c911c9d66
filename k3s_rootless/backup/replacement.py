"""Replace the files of a cluster by those of a backup, so that each step can be undone.

The new content is written beside each path first, under a hidden name. Then each path is moved to
another hidden name, and the new content is moved to the path. A record names all paths and the
phase. From the record and the names that exist, another process can continue or undo the work after
this one was killed at any point.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from pathlib import Path
from typing import IO, Any

from k3s_rootless import atomic
from k3s_rootless.backup import verify
from k3s_rootless.backup.facts import Entry, Manifest, Phase, Record, Replaced, Slot
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import InvalidField, each, field, parsing, typed

SCHEMA = "k3s-rootless/restore-record/v1"
_LARGEST = 2**20
_NEW = "restored"
_OLD = "replaced"
_UNDONE = "undone"


def load(path: Path) -> Record | None:
    """Return the record of an unfinished restore; None if there is none. Raises RootlessError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    with parsing(f"`{path}`"):
        content = typed(json.loads(data), dict)
        return Record(
            _phase(field(content, "phase", str)),
            Path(field(content, "archive", str)),
            each(content, "paths", _replaced),
            field(content, "running", bool),
        )


def stage(
    file: Path,
    archive: Path,
    slots: tuple[Slot, ...],
    judge: Callable[[Manifest], None],
    *,
    running: bool,
) -> Record:
    """Write the new content beside the paths, and the record to `file`. No path is changed.

    `running` is True if K3s runs.

    Raises RootlessError, and leaves nothing in that case.
    """
    paths = tuple(Replaced(slot.path, bool(slot.names)) for slot in slots)
    record = Record(Phase.STAGING, archive, paths, running)
    for one in record.paths:
        _require_absent(_beside(one.path, _OLD))
    with _reported("stage the backup"):
        _save(file, record)
        for one in record.paths:
            _remove(_beside(one.path, _NEW))
    places = {name: _place(slot, name) for slot in slots for name in slot.names}
    try:
        verify.read(archive, lambda entry: _target(places, entry), judge)
        with _reported("stage the backup"):
            _sync_staged(record)
    except BaseException:
        discard(file, record)
        raise
    return record


def discard(file: Path, record: Record) -> None:
    """Remove the staged content and the record; no path was changed. Raises RootlessError."""
    with _reported("remove the staged backup"):
        for one in record.paths:
            _remove(_beside(one.path, _NEW))
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
            _save(file, record)
        for one in record.paths:
            _replace(one)
        return _advance(file, record, Phase.PLACED)


def undo(file: Path, record: Record) -> None:
    """Move what was replaced back to its paths, and remove the record. K3s must be stopped.

    Also continues this work after a process was killed. Raises RootlessError.
    """
    with _reported("put back the files of K3s"):
        record = _advance(file, record, Phase.UNDOING)
        for one in record.paths:
            _undo(one)
        for one in record.paths:
            for kind in (_NEW, _UNDONE):
                _remove(_beside(one.path, kind))
        file.unlink(missing_ok=True)
        atomic.sync(file.parent)


def finish(file: Path, record: Record) -> None:
    """Remove what was replaced, and then the record. Raises RootlessError."""
    with _reported("remove the replaced files"):
        record = _advance(file, record, Phase.READY)
        for one in record.paths:
            for kind in (_OLD, _NEW, _UNDONE):
                _remove(_beside(one.path, kind))
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


def _advance(file: Path, record: Record, phase: Phase) -> Record:
    if record.phase is phase:
        return record
    advanced = changed(record, phase=phase)
    _save(file, advanced)
    return advanced


def _save(file: Path, record: Record) -> None:
    content = {
        "schema": SCHEMA,
        "phase": record.phase.value,
        "archive": str(record.archive),
        "running": record.running,
        "paths": [{"path": str(one.path), "new": one.new, "old": one.old} for one in record.paths],
    }
    atomic.make_directory(file.parent)
    atomic.sweep(file.parent, file.name.replace(".", r"\."))
    data = json.dumps(content, indent=1).encode("ascii")
    atomic.write(file, data, 0o600)


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise InvalidField("is unknown", "phase") from None


def _replaced(value: Any) -> Replaced:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    return Replaced(
        Path(field(content, "path", str)),
        field(content, "new", bool),
        field(content, "old", bool),
    )


@contextmanager
def _reported(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RootlessError(
            f"cannot {action}: {error.filename or ''}: {atomic.reason(error)}",
            hint="see how much space is left, and look at the directory with ls -l",
        ) from error
