"""The last starts in the journal: their lines, the milestones, and how they ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import diagnosis, lines
from k3s_rootless.journal.facts import Entry, Query, StartLog
from k3s_rootless.journal.sources import journald, log_file
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.support.facts import Line, LoggedStart

MOST_STARTS = 5
MOST_LINES = 20_000
MOST_CHARACTERS = 4 * 2**20
LONGEST_LINE = 65_536
_LONGEST_NOTICED = 1000
_PROGRAM = "k3s"


@dataclass(slots=True)
class Observed:
    """What the journal contains about one start.

    `log` is the diagnosis, `reached` the time of each milestone, `first` the time of the first
    line.
    """

    log: StartLog
    reached: dict[str, datetime] = field(default_factory=dict)
    first: datetime | None = None


class _Newest:
    """The newest lines within the size limit, each with its invocation.

    `cut` contains the invocations of the starts that lost lines.
    """

    def __init__(self) -> None:
        self.kept: deque[tuple[str, Line]] = deque()
        self.cut: set[str] = set()
        self._room = MOST_CHARACTERS

    def add(self, invocation: str, line: Line) -> None:
        """Add a line."""
        self.kept.append((invocation, line))
        self._room -= len(line.text)

    def make_room(self) -> None:
        """Remove the oldest lines that exceed the size limit."""
        while self._room < 0 and len(self.kept) > 1:
            invocation, line = self.kept.popleft()
            self.cut.add(invocation)
            self._room += len(line.text)

    def by_start(self) -> dict[str, list[Line]]:
        """Return the lines of each start; the start with the newest line is the last."""
        starts: dict[str, list[Line]] = {}
        for invocation, line in self.kept:
            # Removed and added again, so that the start with the newest line is the last.
            of_start = starts.pop(invocation, [])
            starts[invocation] = of_start
            of_start.append(line)
        return starts


def last(uid: int) -> tuple[LoggedStart, ...]:
    """Return the lines of the last starts, the newest start first.

    If there are too many lines, the newest are kept. Raises RootlessError.
    """
    newest = _Newest()
    first = ""
    count = 0
    with journald.read(Query(uid=uid, lines=MOST_LINES)) as entries:
        for count, entry in enumerate(entries, 1):
            invocation = entry.invocation or ""
            if count == 1:
                first = invocation
            for line in _lines(entry):
                newest.add(invocation, line)
            newest.make_room()
    if count >= MOST_LINES:
        newest.cut.add(first)
    starts = list(reversed(newest.by_start().items()))[:MOST_STARTS]
    return tuple(
        LoggedStart(invocation, tuple(of_start), invocation in newest.cut)
        for invocation, of_start in starts
    )


def of_file(path: Path) -> LoggedStart:
    """Return the newest lines of the file that K3s writes its log to. Raises RootlessError."""
    try:
        start = max(0, path.stat().st_size - MOST_CHARACTERS)
    except OSError as error:
        raise RootlessError(
            f"cannot read `{path}`: {(error.strerror or str(error)).lower()}"
        ) from error
    newest: deque[Line] = deque(maxlen=MOST_LINES)
    with log_file.Reading(path, _PROGRAM, start=start) as reading:
        for number, entry in enumerate(reading):
            # Without the beginning of a file, its first line is incomplete.
            if number or not start:
                newest.extend(_lines(entry))
    return LoggedStart("", tuple(newest), cut=start > 0 or len(newest) == MOST_LINES)


def observe(uid: int, invocation: str) -> Observed:
    """Read the journal of one start from its first line. Raises RootlessError."""
    found = Observed(StartLog(None, invocation=invocation or None))
    if invocation:
        with journald.read(Query(uid=uid, invocation=invocation)) as entries:
            found.log = diagnosis.read_start(_noting(entries, found), invocation)
    return found


def _noting(entries: Iterable[Entry], found: Observed) -> Iterator[Entry]:
    for entry in entries:
        if entry.time is not None:
            found.first = found.first or entry.time
            name = milestones.in_line(entry.message[:_LONGEST_NOTICED])
            if name is not None:
                found.reached.setdefault(name, entry.time)
        yield entry


def _lines(entry: Entry) -> Iterator[Line]:
    level = lines.parse(entry.message, entry.identifier, entry.priority).level
    source = entry.identifier or "k3s"
    if entry.pid:
        source = f"{source}[{entry.pid}]"
    for text in entry.message.split("\n"):
        yield Line(entry.time, level, source, text[:LONGEST_LINE])
