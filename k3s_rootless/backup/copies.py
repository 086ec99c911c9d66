"""Copy files and directories that K3s can change, and bring a copy up to date after K3s stopped.

Only what differs is written: K3s is stopped meanwhile, and a datastore can have gigabytes.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from k3s_rootless import atomic

_PIECE = 2**20


def update(source: Path, copy: Path) -> None:
    """Make `copy` equal to `source`, with modes and times. Raises OSError.

    No process may write to `source`. `copy` may be an older copy, or one that was interrupted.
    """
    try:
        found = source.lstat()
    except (FileNotFoundError, NotADirectoryError):
        remove(copy)
        return
    if stat.S_ISREG(found.st_mode):
        _update_file(source, copy)
    else:
        remove(copy)
        _copy_other(source, copy, found)
    atomic.sync(copy.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory, if there is one. Raises OSError."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except IsADirectoryError:
        shutil.rmtree(path)


def _update_file(source: Path, copy: Path) -> None:
    if not _is_file(copy):
        remove(copy)
    descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with source.open("rb") as reading, open(descriptor, "r+b") as writing:  # noqa: PTH123
        at = 0
        while piece := reading.read(_PIECE):
            writing.seek(at)
            if writing.read(len(piece)) != piece:
                writing.seek(at)
                writing.write(piece)
            at += len(piece)
        writing.seek(at)
        writing.truncate()
        shutil.copystat(source, copy)
        writing.flush()
        os.fsync(descriptor)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _copy_other(source: Path, copy: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        copy.symlink_to(source.readlink())
        return
    if not stat.S_ISDIR(found.st_mode):
        return  # a socket or a pipe holds no data
    copy.mkdir(mode=0o700)
    for entry in sorted(source.iterdir()):
        update(entry, copy / entry.name)
    shutil.copystat(source, copy)
