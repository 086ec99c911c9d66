"""What a program says while it runs, line by line."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.patience import PATIENCE


class Line(NamedTuple):
    """A line, and when it came, by time.monotonic."""

    at: float
    text: str


class Lines:
    """The lines of a program as they come; `seen` are those that were waited for or passed by."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._queue: queue.Queue[Line] = queue.Queue()

    def wait_for(self, part: str, seconds: float = PATIENCE) -> Line:
        """Wait for a line with `part` in it, from the last one on that was waited for."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{part!r} did not come; there came:\n{''.join(self.seen[-50:])}"
                ) from None
            self.seen.append(line.text)
            if part in line.text:
                return line

    def read(self, process: subprocess.Popen[str]) -> None:
        """Take lines until the last program that can write to the pipe has ended."""
        assert process.stdout
        for text in process.stdout:
            self._queue.put(Line(time.monotonic(), text))


@contextlib.contextmanager
def reading(process: subprocess.Popen[str]) -> Iterator[Lines]:
    """Read what a program says in the background; at the end the program is killed, if it still
    runs.

    Only then does the reader end; a pipe that is closed under it is a ValueError in its thread.
    """
    lines = Lines()
    reader = threading.Thread(target=lines.read, args=(process,))
    reader.start()
    try:
        yield lines
    finally:
        process.kill()
        reader.join(10)
        assert not reader.is_alive(), "what was started still holds the pipe"
