"""Reader of the bytes that files occupy on the disk.

As in du(1), a file counts with its blocks, and a file with several names counts once. Links are not
followed, and other file systems that are mounted inside are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless.atomic import reason
from k3s_rootless.linux import open_directory

_BLOCK = 512
"""Bytes of a unit of `st_blocks` on Linux (stat(2))."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A directory that cannot be read, its owner, and the reason."""

    path: str
    uid: int
    reason: str


@dataclass(slots=True)
class Usage:
    """The bytes that were counted.

    `unread` is the number of directories that cannot be read, and `first` one of them. `complete`
    is false if the time was over before all files were counted. `excluded` are paths that do not
    count.
    """

    size: int = 0
    unread: int = 0
    first: Unread | None = None
    complete: bool = True
    excluded: frozenset[str] = frozenset()
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, found: os.stat_result) -> None:
        """Count a file or directory."""
        if found.st_nlink > 1:
            identity = open_directory.identity(found)
            if identity in self._seen:
                return
            self._seen.add(identity)
        self.size += found.st_blocks * _BLOCK

    def miss(self, path: str, error: OSError) -> None:
        """Record a directory that cannot be read."""
        self.unread += 1
        if self.first is None:
            self.first = Unread(path, _owner(path), reason(error))


def read(paths: Iterable[Path], deadline: float, excluded: Iterable[Path] = ()) -> Usage:
    """Return what files and directories occupy; `deadline` is that of `time.monotonic`.

    A path that does not exist occupies nothing. The paths in `excluded` are left out, with
    everything below them.
    """
    usage = Usage(excluded=frozenset(map(os.path.realpath, excluded)))
    for path in paths:
        start = os.path.realpath(path)
        try:
            found = os.lstat(start)
        except FileNotFoundError:
            continue
        except OSError as error:
            usage.miss(start, error)
            continue
        usage.add(found)
        _walk(start, found.st_dev, usage, deadline)
    return usage


def _walk(start: str, device: int, usage: Usage, deadline: float) -> None:
    """Count everything below a directory."""
    waiting = [start]
    while waiting:
        if time.monotonic() > deadline:
            usage.complete = False
            return
        directory = waiting.pop()
        try:
            waiting += _entered(directory, device, usage)
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed while this was read, or a file
        except OSError as error:
            usage.miss(directory, error)


def _entered(directory: str, device: int, usage: Usage) -> list[str]:
    """Count the entries of a directory, and return its subdirectories. Raises OSError."""
    below = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_dev != device or entry.path in usage.excluded:
                continue
            usage.add(found)
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
    return below


def _owner(path: str) -> int:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return -1
