"""Copy and check K3s's SQLite datastore.

While K3s runs, the copy is made by SQLite's online backup in a single step: it holds one read
transaction, so that the copy is consistent, and K3s continues to write. A backup in several steps
would start again at each write of another process (sqlite.org/backup.html), and might never end.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import names
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from types import ModuleType

_BUSY_SECONDS = 60.0
_MOST_NAMES = 100_000
_BUSY = frozenset((5, 6))
"""SQLITE_BUSY and SQLITE_LOCKED."""


def copy_live(source: Path, target: Path) -> None:
    """Copy a database that another process may write, as one file without a write-ahead log.

    The copy contains everything that was committed before the call. `target` must not exist. Raises
    RootlessError; `target` is then incomplete.
    """
    sqlite = module()
    deadline = time.monotonic() + _BUSY_SECONDS

    def stop_if_busy(status: int, _remaining: int, _total: int) -> None:
        if status in _BUSY and time.monotonic() > deadline:
            raise TimeoutError(f"another process has locked it for {_BUSY_SECONDS:g} s")

    try:
        # Mode 0600 from the beginning: SQLite would apply the umask.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            closing(opened(sqlite, source, "ro")) as origin,
            closing(opened(sqlite, target, "rw")) as copy,
        ):
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            origin.backup(copy, pages=-1, progress=stop_if_busy)
            # The header of the copy says WAL, as in the source.
            copy.execute("PRAGMA journal_mode = DELETE")
        _sync(target)
    except (sqlite.Error, OSError) as error:
        raise RootlessError(
            f"cannot copy the datastore `{source}`: {_reason(error)}", hint=_hint(error, target)
        ) from error


def copy_stopped(source: Path, target: Path) -> tuple[str, ...]:
    """Copy the files of a database that no process uses, and return their names.

    `source` and `target` are directories. Raises RootlessError, also if a file changed meanwhile.
    """
    before = dict(_states(source))
    try:
        for name in before:
            _copy(source / name, target / name)
    except OSError as error:
        raise RootlessError(
            f"cannot copy the datastore `{source / names.DATABASE}`: {atomic.reason(error)}",
            hint=_hint(error, target),
        ) from error
    if before != dict(_states(source)):
        raise RootlessError(
            f"cannot copy the datastore in `{source}`: a process changed it meanwhile",
            hint="if K3s has just started, repeat the command: k3s-rootless backup create --live",
        )
    return tuple(before)


def check(file: Path) -> int | None:
    """Check a copy of a database completely, and return the last revision in it.

    The files of the copy may change: SQLite moves the content of its log into the database. Returns
    None if the database has no table of K3s. Raises RootlessError if it is damaged.
    """
    sqlite = module()
    try:
        with closing(opened(sqlite, file, "rw")) as found:
            answer = found.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if answer != "ok":
                raise RootlessError(f"the datastore is damaged: {answer}")
            return _revision(found)
    except sqlite.Error as error:
        raise RootlessError(f"the datastore is damaged: {error}") from error


def revision(file: Path) -> int | None:
    """Return the last revision in a copy of a database; None if it has no table of K3s.

    Raises RootlessError.
    """
    sqlite = module()
    try:
        with closing(opened(sqlite, file, "ro")) as found:
            return _revision(found)
    except sqlite.Error as error:
        raise RootlessError(f"cannot read the copy of the datastore: {error}") from error


def written_since(file: Path, number: int) -> tuple[str, ...]:
    """Return the names of the objects that were written after a revision.

    Another process may write to the database. Empty if it cannot be read.
    """
    sqlite = module()
    try:
        with closing(opened(sqlite, file, "ro")) as found:
            rows = found.execute(
                "SELECT DISTINCT name FROM kine WHERE id > ? ORDER BY id LIMIT ?",
                (number, _MOST_NAMES),
            )
            return tuple(str(name) for (name,) in rows)
    except sqlite.Error:
        return ()


def existing(file: Path, prefix: str) -> frozenset[str]:
    """Return the names of the objects that exist and begin with a prefix.

    Another process may write to the database. Empty if it cannot be read.
    """
    sqlite = module()
    try:
        with closing(opened(sqlite, file, "ro")) as found:
            rows = found.execute(
                "SELECT name, deleted, max(id) FROM kine WHERE name >= ? AND name < ?"
                " GROUP BY name",
                (prefix, f"{prefix}\x7f"),
            )
            return frozenset(str(name) for name, deleted, _ in rows if not deleted)
    except sqlite.Error:
        return frozenset()


def has_objects(found: sqlite3.Connection) -> bool:
    """Return whether a database has K3s's table of objects. Raises sqlite3.Error."""
    tables = found.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='kine'")
    return tables.fetchone() is not None


def _revision(found: sqlite3.Connection) -> int | None:
    if not has_objects(found):
        return None
    number: int | None = found.execute("SELECT max(id) FROM kine").fetchone()[0]
    return number


def opened(sqlite: ModuleType, file: Path, mode: str) -> sqlite3.Connection:
    """Open a database; `mode` is `ro` or `rw`. Raises sqlite3.Error."""
    connection: sqlite3.Connection = sqlite.connect(
        f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=_BUSY_SECONDS
    )
    return connection


def module() -> ModuleType:
    """Return the module sqlite3. Raises RootlessError if this Python does not have it."""
    try:
        # Imported here, because the Python of some distributions does not include it.
        import sqlite3
    except ImportError:
        raise RootlessError(
            "cannot copy the datastore: this Python has no module sqlite3",
            hint="install your distribution's package of Python's sqlite3",
        ) from None
    return sqlite3


def _states(directory: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for name in names.DATABASE_FILES:
        try:
            found = (directory / name).stat()
        except FileNotFoundError:
            continue
        yield name, (found.st_ino, found.st_size, found.st_mtime_ns)


def _copy(source: Path, target: Path) -> None:
    # Imported here, because no other command needs it.
    import shutil

    with source.open("rb") as reading, target.open("xb") as writing:
        target.chmod(0o600)
        shutil.copyfileobj(reading, writing, 2**20)
        writing.flush()
        os.fsync(writing.fileno())


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return atomic.reason(error)
    return str(error)


def _hint(error: Exception, target: Path) -> str | None:
    if isinstance(error, OSError):
        return atomic.hint(error, target)
    # SQLite keeps the errno to itself: SQLITE_FULL is ENOSPC, and a failed write can be EDQUOT.
    if getattr(error, "sqlite_errorname", "") in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}:
        return atomic.hint(OSError(errno.ENOSPC, ""), target)
    return None
