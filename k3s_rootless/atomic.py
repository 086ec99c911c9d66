"""Write files atomically: a reader sees either the old or the whole new file.

A file is written beside its final path, synced to the disk, and then renamed or linked by the
caller.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

SUFFIX = ".new"
"""The end of a staged file's name, which starts with a dot and the name of the final file."""
_RANDOM = r"\.[a-z0-9_]{8}"
_UNLOCKED_SECONDS = 60.0
"""Seconds after its creation during which a staged file may be empty and unlocked."""


@contextmanager
def staged(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Yield a synced temporary file beside `path` with the content `data`.

    The caller moves it to its final path. The temporary file is removed at the end if it still
    exists. Raises OSError, and leaves no file in that case.
    """
    with being_written(path) as (file, new):
        file.write(data)
        finish(file, mode)
        yield new


@contextmanager
def being_written(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Yield an open temporary file beside `path`, with mode 0600, and its path.

    The caller writes it, calls `finish`, and moves it to its final path. The temporary file is
    removed at the end if it still exists. Raises OSError.
    """
    # Imported here because it takes 2 ms, and read-only commands write no file.
    import tempfile

    # mkstemp opens with mode 0600 and O_EXCL.
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.name[:200]}.", suffix=SUFFIX, dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            # The lock is held until the file is closed or this process dies. A locked file is still
            # being written; an unlocked one was left behind.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def finish(file: IO[bytes], mode: int) -> None:
    """Set the mode of a temporary file, and sync it. Raises OSError."""
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a file, whether the path exists or not. Raises OSError, and changes nothing then."""
    with staged(path, data, mode) as new:
        new.replace(path)
    sync(path.parent)


def lock(descriptor: int, on_wait: Callable[[], None]) -> None:
    """Lock an open file for this process; `on_wait` is called before a wait. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def place(new: Path, path: Path) -> None:
    """Move a temporary file to its final path, which must not exist.

    Raises FileExistsError if the path exists, OSError.
    """
    try:
        # Unlike rename(2), link(2) fails if the path exists.
        os.link(new, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}:
            raise
        # The file system has no hard links. A file that another program creates at this moment is
        # overwritten.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        new.rename(path)


def sweep(directory: Path, name: str) -> None:
    """Remove temporary files that killed processes left in a directory.

    `name` is a regular expression for the names of the final files. Only files of this user are
    removed, and none that another process is writing. A file that cannot be removed stays.
    """
    left = re.compile(rf"\.(?:{name}){_RANDOM}{re.escape(SUFFIX)}")
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if left.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_left(Path(entry.path))


def _remove_left(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        new = not found.st_size and time.time() - found.st_mtime < _UNLOCKED_SECONDS
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not new:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether another process holds a lock on a file (flock(2)).

    A file that cannot be opened counts as unlocked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def remove(path: Path) -> None:
    """Remove a file, so that it stays removed after a crash; do nothing if there is none.

    Raises OSError.
    """
    if path.parent.is_dir():
        path.unlink(missing_ok=True)
        sync(path.parent)


def make_directory(directory: Path) -> None:
    """Create a directory and its missing parents.

    With any umask, no directory is writable by other users. Raises OSError.
    `Path.mkdir(parents=True)` applies its mode only to the last directory: with umask 0 the parents
    get 0777.
    """
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o755, exist_ok=True)
        sync(one.parent)


def sync(directory: Path) -> None:
    """Sync a directory, so that its entries survive a crash. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems cannot sync a directory. The file itself is
        # synced.
        if error.errno not in {errno.EINVAL, errno.EROFS}:
            raise
    finally:
        os.close(descriptor)


def hint(error: OSError, path: Path | None = None) -> str | None:
    """Return how to fix the cause of an error in a command that wrote to `path`.

    The file that the error names counts more, as far as it exists. None if the errno does not show
    what to do.
    """
    named = error.filename if isinstance(error.filename, str) else path
    place = ""
    if named is not None:
        absolute = Path(named).absolute()
        existing = next(one for one in (absolute, *absolute.parents) if os.path.lexists(one))
        place = f" {shlex.quote(str(existing))}"
    match error.errno:
        case errno.ENOSPC:
            return f"free disk space, and check it with: df -h{place}"
        case errno.EDQUOT:
            return f"free disk space within your quota (quota -s), and check it with: df -h{place}"
        case errno.EFBIG:
            return "allow larger files, and check the limit with: ulimit -f"
        case errno.EACCES | errno.EPERM if place:
            return f"change the permissions, and check them with: ls -ld{place}"
        case errno.EROFS if place:
            return f"make the file system writable, and check it with: findmnt --target{place}"
    return None


def reason(error: OSError) -> str:
    """Return the reason of an error, for the end of a sentence."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
