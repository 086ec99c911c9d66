"""The last starts as the journal has them: their lines, what they reached, and what they tell of
their end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Entry, Story
    from k3s_rootless.support.facts import Begun, Line

MOST_STARTS = 5
MOST_LINES = 20_000
MOST_CHARACTERS = 4 * 2**20
LONGEST_LINE = 65_536


@dataclass(slots=True)
class Observed:
    """What the journal of one start tells: its story, when it reached what, when its first line
    came.
    """

    story: Story
    reached: dict[str, datetime] = field(default_factory=dict)
    first: datetime | None = None


def last(uid: int) -> tuple[Begun, ...]:
    """Read the lines of the last starts, the newest start first; of too many, the newest are kept.

    Raises RootlessError.
    """
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.journal.sources import journald
    from k3s_rootless.support.facts import Begun

    kept: deque[tuple[str, Line]] = deque()
    cut: set[str] = set()
    room, count = MOST_CHARACTERS, 0
    with journald.read(Query(uid=uid, lines=MOST_LINES)) as entries:
        for count, entry in enumerate(entries, 1):
            if count == 1:
                first = entry.invocation or ""
            for line in _lines(entry):
                kept.append((entry.invocation or "", line))
                room -= len(line.text)
            while room < 0 and len(kept) > 1:
                invocation, old = kept.popleft()
                cut.add(invocation)
                room += len(old.text)
    if count >= MOST_LINES:
        cut.add(first)
    starts: dict[str, list[Line]] = {}
    for invocation, line in kept:
        # Taken out and put in again, so that the one with the newest line ends up last.
        lines = starts.pop(invocation, [])
        starts[invocation] = lines
        lines.append(line)
    newest = list(reversed(starts.items()))[:MOST_STARTS]
    return tuple(Begun(invocation, tuple(lines), invocation in cut) for invocation, lines in newest)


def observe(uid: int, invocation: str) -> Observed:
    """Follow the journal of one start from its first line on. Raises RootlessError."""
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.facts import Query, Story
    from k3s_rootless.journal.sources import journald

    found = Observed(Story(None, invocation=invocation or None))
    if invocation:
        with journald.read(Query(uid=uid, invocation=invocation)) as entries:
            found.story = diagnosis.story(_noting(entries, found), invocation)
    return found


def _noting(entries: Iterable[Entry], found: Observed) -> Iterator[Entry]:
    from k3s_rootless.operations.readiness import milestones

    for entry in entries:
        if entry.time is not None:
            found.first = found.first or entry.time
            if name := milestones.noticed(entry.message[:1000]):
                found.reached.setdefault(name, entry.time)
        yield entry


def _lines(entry: Entry) -> Iterator[Line]:
    from k3s_rootless.journal import lines
    from k3s_rootless.support.facts import Line

    level = lines.parse(entry.message, entry.identifier, entry.priority).level
    source = f"{entry.identifier or 'k3s'}[{entry.pid}]" if entry.pid else entry.identifier or "k3s"
    for text in entry.message.split("\n"):
        yield Line(entry.time, level, source, text[:LONGEST_LINE])
