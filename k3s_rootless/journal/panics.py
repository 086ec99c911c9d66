"""The place where a Go program panicked: the first frames of the goroutine that panicked.

Go prints that goroutine first in its dump. A frame has two lines: the function with its arguments,
then file and line after a tab (runtime.Stack; Go 1.16 to 1.25).
"""

from __future__ import annotations

import re

from k3s_rootless.printable import printable

MOST_FRAMES = 5
_MOST_LINES = 200
"""The number of lines to read.

Lines that other goroutines write at the same time can come in between.
"""
_LONGEST = 300
_GOROUTINE = re.compile(r"goroutine \d{1,20} \[")
_PLACE = re.compile(r"\s{0,8}(?P<place>/[^\t]{1,400}?:\d{1,8})(?: \+0x[0-9a-f]{1,16})?\s{0,4}")
_ABOUT_THE_PANIC = ("panic", "runtime.", "runtime/", "k8s.io/apimachinery/pkg/util/runtime.")
"""Functions by which Go and Kubernetes handle a panic; the frames of interest are their callers."""


class Frames:
    """Collector of the frames in the lines after the line `panic:`.

    The number of lines and the length of a frame are limited.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._function = ""
        self._inside = False
        self._lines = 0
        self._over = False

    @property
    def complete(self) -> bool:
        """True if no further line can add a frame."""
        return self._over or len(self.found) >= MOST_FRAMES or self._lines >= _MOST_LINES

    def read(self, line: str) -> None:
        """Read the next line."""
        if self.complete:
            return
        self._lines += 1
        if _GOROUTINE.match(line):
            self._over = self._inside
            self._inside = True
        elif self._inside:
            self._frame(line)

    def _frame(self, line: str) -> None:
        place = _PLACE.fullmatch(line)
        if place is None:
            self._function = ""
            if line.endswith(")"):
                self._function = line.rpartition("(")[0]
            return
        function, self._function = self._function, ""
        if function and not function.startswith(_ABOUT_THE_PANIC):
            self.found.append(printable(f"{function} ({place['place']})", _LONGEST))
