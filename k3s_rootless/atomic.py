"""Files that are written whole or not at all: beside their place first, synced to the disk, and
only then put there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".new"
"""How the name of a file ends that is not in its place yet; it begins with a dot and the name of
that place.
"""
_RANDOM = r"\.[a-z0-9_]{8}"
_UNLOCKED_SECONDS = 60.0
"""How long after it was made a file may be empty and not locked yet."""


@contextmanager
def staged(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Give a synced file beside `path` that holds `data`, for the caller to put in its place; what
    is left of it is removed.

    Raises OSError, and leaves nothing then.
    """
    # Here, since it takes 2 ms, and questions write no file.
    import tempfile

    # mkstemp opens with mode 0600 and O_EXCL.
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.name[:200]}.", suffix=SUFFIX, dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Held for as long as this process lives: a file that is left behind can be told from
            # one that is being written.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def sweep(directory: Path, name: str) -> None:
    """Remove what killed processes left in a directory of files that were to be called `name`, a
    regular expression.

    Only files of this user are removed, and none that another process is writing. What cannot be
    removed stays.
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
    """Return whether another process holds a lock on a file (flock(2)); no lock is known of a file
    that cannot be opened.
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


def make_directory(directory: Path) -> None:
    """Make a directory and those above it that are missing; none is writable by others, whatever
    the umask is.

    Raises OSError. `Path.mkdir(parents=True)` gives its mode to the last one only: with umask 0 the
    others get 0777.
    """
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o755, exist_ok=True)
        sync(one.parent)


def sync(directory: Path) -> None:
    """Sync a directory, so that the names in it last. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of the network and of user space cannot sync a directory; the file
        # itself is synced.
        if error.errno not in {errno.EINVAL, errno.EROFS}:
            raise
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Give an error as the end of a sentence."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
