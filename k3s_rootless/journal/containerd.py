"""containerd's own log: a file of logrus lines below the data directory, which no journal has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.journal.facts import Entry

_TIME = re.compile(r'^time="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')
_LONGEST = 64 * 1024


@contextmanager
def read(path: Path, lines: int | None, *, follow: bool) -> Iterator[Iterator[Entry]]:
    """Give the file's lines, the last `lines` or all, and with `follow` what comes, also in a file that takes its place.

    tail(1) follows by inotify. Raises CommandFailed while iterating where the file cannot be read.
    """
    args = ["tail", f"--lines={'+1' if lines is None else lines}", *(["-F"] if follow else []), "--", str(path)]
    stream = command.stream(args)
    try:
        yield (_entry(line) for line in stream)
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()


def _entry(line: bytes) -> Entry:
    text = line[:_LONGEST].decode("utf-8", "replace").rstrip("\n")
    found = _TIME.match(text)
    time = None
    if found:
        try:
            time = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        except ValueError:
            time = None
    return Entry(time, text, identifier="containerd")
