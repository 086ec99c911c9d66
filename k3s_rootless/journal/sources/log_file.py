"""Logs in files, outside the journal: that of containerd, and that of K3s with `--log`.

The lines are those of logrus. K3s's file also has lines of klog, with a time of this host's time
zone without the year, which is that of the line before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from k3s_rootless import command
from k3s_rootless.journal.facts import Entry
from k3s_rootless.k3s import layout

CONTAINERD = Path(layout.CONTAINERD_LOG)
"""The path below the data directory; K3s appends to the file at each start."""
_TIME = re.compile(r'^time="(\d{4}-\d\d-\d\dT[^"]{8,30})"')
_KLOG_TIME = re.compile(r"^[IWEF](\d{4} \d\d:\d\d:\d\d\.\d{6}) ")
_GRAIN = timedelta(seconds=1)
_HALF_A_YEAR = timedelta(days=182)
_LONGEST = 64 * 1024


class Reading:
    """Reader of the lines of the file from a byte on; with `follow`, of new lines as well.

    Reading continues in a file that replaces the first one. `end` is the byte up to which whole
    lines were read. tail(1) follows by inotify. Use this class in a `with` statement. While
    iterating, raises CommandFailed if the file cannot be read.
    """

    def __init__(
        self, path: Path, identifier: str, *, start: int = 0, follow: bool = False
    ) -> None:
        self.end = start
        self._identifier = identifier
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
        before: datetime | None = None
        for line in self._lines:
            if line.endswith(b"\n"):
                self.end += len(line)
            text = line[:_LONGEST].decode("utf-8", "replace").rstrip("\n")
            time = _time(text) or _klog_time(text, before)
            before = time or before
            yield Entry(time, text, identifier=self._identifier)


def since(entries: Iterable[Entry], begun: datetime | None) -> Iterator[Entry]:
    """Leave out the entries before a start; a line without a time belongs to the line before it."""
    inside = begun is None
    for entry in entries:
        # The times of lines are whole seconds.
        if begun is not None and entry.time is not None:
            inside = entry.time + _GRAIN > begun
        if inside:
            yield entry


def until(entries: Iterable[Entry], ended: datetime | None) -> Iterator[Entry]:
    """Leave out the entries after the end of a start; `ended` is None while it runs."""
    for entry in entries:
        if ended is not None and entry.time is not None and entry.time > ended + _GRAIN:
            return
        yield entry


def _time(text: str) -> datetime | None:
    found = _TIME.match(text)
    if found is None:
        return None
    try:
        time = datetime.fromisoformat(found[1])
    except ValueError:
        return None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    return time.astimezone(UTC)


def _klog_time(text: str, before: datetime | None) -> datetime | None:
    """Return the time of a line of klog; None if no line before it has a time."""
    found = _KLOG_TIME.match(text)
    if found is None or before is None:
        return None
    try:
        written = f"{before.astimezone().year:04}{found[1]}"
        time = datetime.strptime(written, "%Y%m%d %H:%M:%S.%f").astimezone(UTC)
        if before - time > _HALF_A_YEAR:
            return time.replace(year=time.year + 1)
    except ValueError:
        return None
    return time
