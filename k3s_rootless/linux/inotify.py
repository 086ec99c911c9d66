"""Tells when something was made, written or renamed in a directory: inotify(7).

By two functions of the C library. inotify_simple and asyncinotify, which wrap the same two, run
ldconfig(8) to find that library, and take 9 and 22 ms to import (Python 3.13); watchfiles brings an
event loop of its own.
"""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

# IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE; IN_ONLYDIR. journald, which writes
# through a mapping, sets a file's size to what it is so that this is told as a modification
# (systemd, journal-file.c).
_CHANGES = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x01000000
_LONGEST = 64 * 1024


class Directories:
    """Watches the directories of some files; use it as a context.

    Where inotify is not to be had, or a file system does not tell (NFS), a wait only takes its
    time: look again after each.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # O_CLOEXEC and O_NONBLOCK are IN_CLOEXEC and IN_NONBLOCK (inotify_init(2)).
        self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watched: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the watch; doing so twice does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def arm(self, files: Iterable[Path]) -> bool:
        """Watch the directory of each file, or what there is of the way to it; tell whether one of
        them was not watched before.

        Arm, then look, then wait: nothing is missed.
        """
        before = len(self._watched)
        for file in files:
            there = next(filter(_is_directory, file.parents), None)
            if there is not None and self._descriptor >= 0:
                # Each watch has a number, which is not given to another one (inotify(7)).
                watch = self._libc.inotify_add_watch(
                    self._descriptor, os.fsencode(there), ctypes.c_uint32(_CHANGES)
                )
                if watch >= 0:
                    self._watched.add(watch)
        return len(self._watched) > before

    def wait(self, seconds: float) -> bool:
        """Wait until something changed since the last wait; tell whether it did."""
        asked = select.poll()
        if self._descriptor >= 0:
            asked.register(self._descriptor, select.POLLIN)
        changed = bool(asked.poll(max(0.0, seconds) * 1000))
        with suppress(OSError):
            # What changed is not asked: whoever waits looks for itself.
            while changed and os.read(self._descriptor, _LONGEST):
                pass
        return changed


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # not ours to look at
