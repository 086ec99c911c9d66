"""Detection of restart loops, from the times at which systemd restarted K3s.

K3s can exit too slowly for systemd's start limit to stop the loop.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from k3s_rootless.journal.facts import Entry, Loop

FEWEST = 2
"""A single restart is no loop."""
_STABLE_SECONDS, _STABLE_PERIODS = 60.0, 3.0
"""When a loop is over.

K3s has then run for `_STABLE_SECONDS`, and for `_STABLE_PERIODS` times the usual time between two
restarts.
"""


def of(entries: Iterable[Entry], restarts: int) -> Loop | None:
    """Return the loop that systemd's messages about restarts show; None if there is no loop.

    The messages are "Scheduled restart job", in the order of the journal. `restarts` is systemd's
    own count. This count starts again at 0 when a user starts the unit, and the journal can reach
    less far back, so the larger number counts.
    """
    times = [entry.time for entry in entries if entry.time]
    if len(times) < FEWEST:
        return None
    return Loop(max(restarts, len(times)), period(times), times[-1])


def period(times: Iterable[datetime]) -> float | None:
    """Return the usual time between two restarts, in seconds; None for fewer than two."""
    # If the clock was set back between two restarts, the time between them is unknown.
    seconds = [
        (after - before).total_seconds() for before, after in pairwise(times) if after > before
    ]
    if not seconds:
        return None
    return statistics.median(seconds)


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
