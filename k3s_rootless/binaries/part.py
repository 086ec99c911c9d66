"""The part of a file that has arrived: its bytes on the disk, and their checksum.

A second thread writes and hashes while more data arrives. Both release Python's lock, so that they
run on another processor.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

VALIDATOR_SUFFIX = ".validator"
"""The end of the name of the file beside a part that has the validator of its source."""
_PIECE = 256 * 1024
"""Bytes that are written at once. A TLS record, which is what one read returns, has 16 KiB."""
_SOON = 0.2
"""Seconds after which less than a piece is written, so that a slow transfer is kept, too."""
_MOST_WAITING = 4 * 1024 * 1024
"""Bytes in memory at which the transfer waits for the disk."""
_FLUSHED = 8 * 1024 * 1024
"""Bytes after which the kernel begins to write to the disk; the sync at the end is short then."""


@dataclass(slots=True)
class Part:
    """The part of a file that has arrived, and the validator of its source.

    `size` counts the bytes that were added.
    """

    file: IO[bytes]
    path: Path
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0
    validator: str = ""

    def restart(self) -> None:
        """Discard what has arrived."""
        self.file.seek(0)
        self.file.truncate()
        self.digest = hashlib.sha256()
        self.size = 0
        self.validator = ""

    def resume(self) -> None:
        """Hash what is in the file, and continue at its end. Raises OSError."""
        while data := self.file.read(_PIECE):
            self.digest.update(data)
            self.size += len(data)


class Writer:
    """Appends data to a part in a second thread, as a context manager.

    At its end, all data is written and hashed. An OSError of the thread is raised by the next call.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._ended = False
        self._error: OSError | None = None
        self._unflushed = 0
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()
        if error is None:
            self._require_no_error()

    def add(self, data: bytes) -> None:
        """Append data. Raises OSError."""
        with self._changed:
            while self._waiting >= _MOST_WAITING and self._error is None:
                self._changed.wait()
            self._require_no_error()
            self._pieces.append(data)
            self._waiting += len(data)
            if self._waiting >= _PIECE:
                self._changed.notify()
        self._part.size += len(data)

    def _require_no_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._waiting >= _PIECE, _SOON)
                data = b"".join(self._pieces)
                self._pieces.clear()
                ended = self._ended
            try:
                self._write(data)
            except OSError as error:
                self._error = error
                ended = True
            with self._changed:
                self._waiting -= len(data)
                self._changed.notify()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._part.file.write(left) :]
        self._part.digest.update(data)
        self._unflushed += len(data)
        if self._unflushed < _FLUSHED:
            return
        size, self._unflushed = self._unflushed, 0
        # Linux begins to write these pages back, and would drop pages that are written already.
        # Each page gets the advice once, while it is still dirty, so it stays in memory for the
        # first run of the file. A file system without the advice loses nothing.
        with suppress(OSError):
            descriptor = self._part.file.fileno()
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.posix_fadvise(descriptor, end - size, size, os.POSIX_FADV_DONTNEED)
