"""Copy the files of a backup to a private directory, so that they cannot change any more."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.backup import names
from k3s_rootless.backup.facts import Entry, Source
from k3s_rootless.backup.manifest import LATEST
from k3s_rootless.errors import RootlessError

_PREFIX = ".k3s-rootless-staging."
_LEFT = re.compile(rf"{re.escape(_PREFIX)}[a-z0-9_]{{8}}")
_PIECE = 2**20


@contextmanager
def directory(parent: Path) -> Iterator[Path]:
    """Yield an empty private directory in `parent`, which is removed at the end.

    Directories that killed processes left in `parent` are removed first. Raises RootlessError.
    """
    # Imported here, because other commands do not need them.
    import shutil
    import tempfile

    try:
        atomic.make_directory(parent)
        sweep(parent)
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise RootlessError(
            f"cannot create a directory in `{parent}`: {atomic.reason(error)}",
            hint=atomic.hint(error, parent),
        ) from error
    try:
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The lock shows other processes that this directory is in use.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield made
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the directories that killed processes left; one that is in use stays."""
    # Imported here, because other commands do not need it.
    import shutil

    for path in sorted(parent.iterdir()):
        if not _LEFT.fullmatch(path.name) or atomic.is_locked(path):
            continue
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)


def copy(source: Source, folder: Path) -> Entry | None:
    """Copy a file, and return its entry; None if it does not exist any more.

    Raises RootlessError.
    """
    target = folder / source.name
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _copy(source.path, target)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(
            f"cannot copy `{source.path}`: {atomic.reason(error)}",
            hint=atomic.hint(error, target),
        ) from error
    return replace(
        entry(folder, source.name),
        mode=stat.S_IMODE(found.st_mode) & 0o777,
        modified=_modified(found),
    )


def entry(folder: Path, name: str) -> Entry:
    """Return the entry of a copied file, with the mode 0600. Raises RootlessError."""
    path = folder / name
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            found = os.fstat(file.fileno())
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    return Entry(name, found.st_size, digest.hexdigest(), 0o600, _modified(found))


def with_index(folder: Path, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries with the present state of the index of the write-ahead log.

    SQLite writes to this file even if it only reads a copied database. Raises RootlessError.
    """
    return tuple(_hashed_again(folder, one) for one in entries)


def _hashed_again(folder: Path, one: Entry) -> Entry:
    if not one.name.endswith(f"/{names.DATABASE_INDEX}"):
        return one
    now = entry(folder, one.name)
    return replace(one, size=now.size, sha256=now.sha256)


def _modified(found: os.stat_result) -> int:
    """Return the time of the last change in whole seconds, within what an archive can hold."""
    return min(max(0, int(found.st_mtime)), LATEST)


def _copy(source: Path, target: Path) -> os.stat_result:
    # O_NONBLOCK, because the file may have become a pipe without a writer.
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb") as reading:  # noqa: PTH123 (a descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(source)
        with target.open("xb") as writing:
            target.chmod(0o600)
            while piece := reading.read(_PIECE):
                writing.write(piece)
    return found
