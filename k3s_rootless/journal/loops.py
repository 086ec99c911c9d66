"""Tells a K3s that dies again and again, too slowly for systemd's start limit to end it, by when
systemd restarted it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from k3s_rootless.journal.facts import Entry, Loop

FEWEST = 2
"""One restart is an accident."""
_BEATS = 3
_SOON, _CALM = 60.0, 3.0
"""A loop is over when K3s has run for so many seconds, and so many times as long as usually between
two restarts.
"""


def of(entries: Iterable[Entry], restarts: int) -> Loop | None:
    """Judge what systemd said of its restarts ("Scheduled restart job"), in their order; `restarts`
    is its own count of them.

    Its count begins anew when somebody starts the unit, and what it said may reach less far back.
    None where it is no loop.
    """
    times = [entry.time for entry in entries if entry.time]
    if len(times) < FEWEST:
        return None
    return Loop(max(restarts, len(times)), period(times), times[-1])


def period(times: Iterable[datetime]) -> float | None:
    """Return the usual time between two restarts, in seconds; None for fewer than two."""
    # A clock that was set back between two restarts tells nothing of the time between them.
    seconds = [
        (after - before).total_seconds() for before, after in pairwise(times) if after > before
    ]
    if not seconds:
        return None
    return statistics.median(seconds)


def is_past(seconds: float, period: float | None) -> bool:
    """Return whether K3s has run for so many seconds since its last restart that the deaths before
    it are over.
    """
    return seconds > max(_SOON, _CALM * (period or 0))


def goes_on(loop: Loop, now: datetime) -> bool:
    """Return whether the next death is to be expected: K3s has not lived much longer since the last
    restart than before.
    """
    return loop.period is None or (now - loop.last).total_seconds() <= _BEATS * loop.period


def words(loop: Loop) -> str:
    """Say how often it died and how soon again."""
    every = ""
    if loop.period:
        every = f", about every {_time(loop.period)}"
    return (
        f"systemd has restarted it {loop.count} times{every}, last at"
        f" {loop.last.astimezone():%H:%M:%S}"
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
