"""Walk a tree by open directories instead of paths, which other processes can change meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from k3s_rootless.errors import RootlessError

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened: a link is not followed."""
Identity = tuple[int, int]
"""The device and the inode of a file."""


def identity(status: os.stat_result) -> Identity:
    """Return the identity of the file with this status."""
    return status.st_dev, status.st_ino


def parent(descriptor: int) -> int:
    """Open the parent of an open directory, and close the directory. Raises OSError.

    The caller compares the identity: the directory can have been moved.
    """
    above = os.open("..", FLAGS, dir_fd=descriptor)
    os.close(descriptor)
    return above


def mount_id(descriptor: int) -> str:
    """Return the mount of an open file. Raises RootlessError."""
    # proc(5): `mnt_id` distinguishes two mounts even if both show the same file system.
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines():
        if line.startswith("mnt_id:"):
            return line
    raise RootlessError("cannot distinguish mounts: /proc/self/fdinfo contains no mnt_id")
