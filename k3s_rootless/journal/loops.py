"""Detection of restart loops, from the times at which systemd restarted K3s.

K3s can exit too slowly for systemd's start limit to stop the loop.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from itertools import pairwise

from k3s_rootless.journal.facts import Entry, Loop

FEWEST = 2
"""A single restart is no loop."""
_STABLE_SECONDS, _STABLE_PERIODS = 60.0, 3.0
"""When a loop is over.

K3s has then run for `_STABLE_SECONDS`, and for `_STABLE_PERIODS` times the usual time between two
restarts.
"""
_COUNTER = re.compile(r"restart counter is at (\d+)")


def of(entries: Iterable[Entry], restarts: int) -> Loop | None:
    """Return the loop that systemd's messages about restarts show; None if there is no loop.

    The messages are "Scheduled restart job", in the order of the journal. `restarts` is systemd's
    own count. This count starts again at 0 when a user starts the unit, and the journal can reach
    less far back, so the larger number counts.
    """
    known = list(entries)
    times = [entry.time for entry in known if entry.time]
    if len(times) < FEWEST:
        return None
    return Loop(max(restarts, len(times)), period(known), times[-1])


def period(entries: Iterable[Entry]) -> float | None:
    """Return the usual time between two restarts, in seconds; None if no two follow each other.

    The entries are those of `of`.
    """
    found = [_seconds_between(before, after) for before, after in pairwise(entries)]
    seconds = [each for each in found if each is not None]
    if not seconds:
        return None
    return statistics.median(seconds)


def _seconds_between(before: Entry, after: Entry) -> float | None:
    if before.time is None or after.time is None or not _is_next(before, after):
        return None
    # If the clock was set back between two restarts, the time between them is unknown.
    if after.time <= before.time:
        return None
    return (after.time - before.time).total_seconds()


def _is_next(before: Entry, after: Entry) -> bool:
    """Return whether no user started the unit between two restarts, which resets the counter."""
    earlier = _counter(before)
    later = _counter(after)
    if earlier is None or later is None:
        return True
    return later > earlier


def _counter(entry: Entry) -> int | None:
    match = _COUNTER.search(entry.message)
    if match is None:
        return None
    return int(match[1])


def is_past(seconds: float, period: float | None) -> bool:
    """Return whether a loop is over, from the seconds since the last restart."""
    return seconds > max(_STABLE_SECONDS, _STABLE_PERIODS * (period or 0))


def describe(loop: Loop) -> str:
    """Describe how often systemd restarted K3s, at which interval, and when last."""
    every = ""
    if loop.period:
        every = f", about every {_time(loop.period)}"
    return (
        f"systemd restarted K3s {loop.count} times{every}, last at"
        f" {loop.last.astimezone():%H:%M:%S}"
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
