"""The mounts that this process sees, from proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    `point` is its path, `type` its file system type and `source` the mounted device. `options`
    belong to the mount, and `super_options` to the file system.
    """

    point: str
    type: str
    source: str
    options: str
    super_options: str


@dataclass(frozen=True, slots=True)
class Room:
    """The space of a file system for ordinary users, in bytes; `inodes` is None if it has no limit.

    `point` is where it is mounted.
    """

    point: str
    type: str
    free: int
    size: int
    inodes: int | None


def room(path: Path, root: Path = Path("/")) -> Room:
    """Return the space in the file system of a path, or of its nearest existing parent.

    Raises OSError.
    """
    real = next(one for one in (path, *path.parents) if one.exists()).resolve()
    mount = mount_of(mounts(root), real)
    found = os.statvfs(real)
    return Room(
        mount.point if mount else str(real),
        mount.type if mount else "",
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail if found.f_files else None,
    )


def mounts(root: Path) -> list[Mount]:
    """List the mounts in the order in which they were created. Raises OSError."""
    found = []
    for line in (root / "proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        before, _, behind = line.partition(" - ")
        fields, more = before.split(), behind.split()
        if len(fields) > 5 and len(more) > 1:
            found.append(Mount(_plain(fields[4]), more[0], _plain(more[1]), fields[5], more[-1]))
    return found


def mount_of(found: list[Mount], path: Path) -> Mount | None:
    """Return the mount that contains a path (absolute, without links)."""
    # Several mounts can have the same longest path; a later mount covers an earlier one.
    return max(
        reversed([one for one in found if path.is_relative_to(one.point)]),
        key=lambda one: len(one.point),
        default=None,
    )


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), text)
