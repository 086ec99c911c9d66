"""Output of a running program, line by line."""

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
    """Line of output, and the time when it was read (time.monotonic)."""

    at: float
    text: str


class Lines:
    """Lines of a program as they arrive; `seen` holds the lines that were already consumed."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._queue: queue.Queue[Line] = queue.Queue()

    def wait_for(self, part: str, seconds: float = PATIENCE) -> Line:
        """Wait for a line that contains `part`, after the last line that was waited for."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"no line contains {part!r}; received:\n{''.join(self.seen[-50:])}"
                ) from None
            self.seen.append(line.text)
            if part in line.text:
                return line

    def read(self, process: subprocess.Popen[str]) -> None:
        """Read lines until the last program that can write to the pipe has ended."""
        assert process.stdout
        for text in process.stdout:
            self._queue.put(Line(time.monotonic(), text))


@contextlib.contextmanager
def reading(process: subprocess.Popen[str]) -> Iterator[Lines]:
    """Read the output of a program in the background, and kill the program at the end.

    The reader ends only after the program. If the pipe were closed earlier, the thread of the
    reader would raise ValueError.
    """
    lines = Lines()
    reader = threading.Thread(target=lines.read, args=(process,))
    reader.start()
    try:
        yield lines
    finally:
        process.kill()
        reader.join(10)
        assert not reader.is_alive(), "a started process still has the pipe open"
