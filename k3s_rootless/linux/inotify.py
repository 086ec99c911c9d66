"""Wait for files that are created, written or renamed in a directory: inotify(7).

It calls two functions of the C library. inotify_simple and asyncinotify wrap the same two
functions, but run ldconfig(8) to find that library, and take 9 and 22 ms to import (Python 3.13).
watchfiles brings its own event loop.
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

# IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE; IN_ONLYDIR. journald writes through
# a mapping. It sets a file's size to the present size, so that inotify reports a modification
# (systemd, journal-file.c).
_CHANGES = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x01000000
_LONGEST = 64 * 1024


class Directories:
    """A watch on the directories of some files; use it as a context manager.

    If inotify is not available, or a file system does not report changes (NFS), a wait always takes
    its full time. Read the files again after each wait.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # O_CLOEXEC and O_NONBLOCK have the values of IN_CLOEXEC and IN_NONBLOCK (inotify_init(2)).
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
        """End the watch; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def arm(self, files: Iterable[Path]) -> bool:
        """Watch the directory of each file, or its nearest existing parent.

        Return whether one of these directories was not watched before. Call this first, then read
        the files, then wait: so no change is missed.
        """
        before = len(self._watched)
        for file in files:
            there = next(filter(_is_directory, file.parents), None)
            if there is not None and self._descriptor >= 0:
                # The number of a watch is not reused for another watch (inotify(7)).
                watch = self._libc.inotify_add_watch(
                    self._descriptor, os.fsencode(there), ctypes.c_uint32(_CHANGES)
                )
                if watch >= 0:
                    self._watched.add(watch)
        return len(self._watched) > before

    def wait(self, seconds: float) -> bool:
        """Wait for a change since the last wait, at most `seconds`; return whether one occurred."""
        poller = select.poll()
        if self._descriptor >= 0:
            poller.register(self._descriptor, select.POLLIN)
        changed = bool(poller.poll(max(0.0, seconds) * 1000))
        with suppress(OSError):
            # The events are discarded: the caller reads the files itself.
            while changed and os.read(self._descriptor, _LONGEST):
                pass
        return changed


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # this user cannot read it
