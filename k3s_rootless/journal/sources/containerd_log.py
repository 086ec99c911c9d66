"""The log of containerd: a file of logrus lines in the data directory, outside the journal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from k3s_rootless import command
from k3s_rootless.journal.facts import Entry
from k3s_rootless.k3s import layout

FILE = Path(layout.CONTAINERD_LOG)
"""The path below the data directory; K3s appends to the file at each start."""
_TIME = re.compile(r'^time="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')
_GRAIN = timedelta(seconds=1)
_LONGEST = 64 * 1024


class Reading:
    """Reader of the lines of the file from a byte on; with `follow`, of new lines as well.

    Reading continues in a file that replaces the first one. `end` is the byte up to which whole
    lines were read. tail(1) follows by inotify. Use this class in a `with` statement. While
    iterating, raises CommandFailed if the file cannot be read.
    """

    def __init__(self, path: Path, *, start: int = 0, follow: bool = False) -> None:
        self.end = start
        args = ["tail", f"--bytes=+{start + 1}"]
        if follow:
            args.append("-F")
        self._lines = command.stream([*args, "--", str(path)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        close = getattr(self._lines, "close", None)
        if close is not None:
            close()

    def __iter__(self) -> Iterator[Entry]:
        for line in self._lines:
            if line.endswith(b"\n"):
                self.end += len(line)
            yield _entry(line)


def since(entries: Iterable[Entry], begun: datetime | None) -> Iterator[Entry]:
    """Leave out the entries before a start; a line without a time belongs to the line before it."""
    inside = begun is None
    for entry in entries:
        # The times of lines are whole seconds.
        if begun is not None and entry.time is not None:
            inside = entry.time + _GRAIN > begun
        if inside:
            yield entry


def _entry(line: bytes) -> Entry:
    text = line[:_LONGEST].decode("utf-8", "replace").rstrip("\n")
    return Entry(_time(text), text, identifier="containerd")


def _time(text: str) -> datetime | None:
    found = _TIME.match(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
