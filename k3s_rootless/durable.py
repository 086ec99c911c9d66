"""Files that are written whole or not at all: beside their place first, synced to the disk, and only then put there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".new"
"""How the name of a file ends that is not in its place yet; it begins with a dot and the name of that place."""


@contextmanager
def staged(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Give a synced file beside `path` that holds `data`, for the caller to put in its place; what is left of it is removed.

    Raises OSError, and leaves nothing then.
    """
    # Here, since all that only reads needs `reason` alone.
    import tempfile

    # mkstemp opens with mode 0600 and O_EXCL.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", suffix=SUFFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def sync(directory: Path) -> None:
    """Sync a directory, so that the names in it last. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of the network and of user space cannot sync a directory; the file itself is synced.
        if error.errno not in {errno.EINVAL, errno.EROFS}:
            raise
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Give an error as the end of a sentence."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
