"""Detection of a K3s that dies again and again, from the times at which systemd restarted it.

Such a K3s can die too slowly for systemd's start limit to stop it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from k3s_rootless.journal.facts import Entry, Loop

FEWEST = 2
"""A single restart is no loop."""
_BEATS = 3
_SOON, _CALM = 60.0, 3.0
"""When a loop is over.

K3s has then run for `_SOON` seconds, and for `_CALM` times the usual time between two restarts.
"""


def of(entries: Iterable[Entry], restarts: int) -> Loop | None:
    """Return the loop that systemd's messages about restarts show; None if there is no loop.

    The messages are "Scheduled restart job", in the order of the journal. `restarts` is systemd's
    own count. This count starts again when the unit is started by hand, and the journal can reach
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
    return seconds > max(_SOON, _CALM * (period or 0))


def goes_on(loop: Loop, now: datetime) -> bool:
    """Return whether the next death is likely to follow.

    This is so if K3s has not run much longer since the last restart than before.
    """
    return loop.period is None or (now - loop.last).total_seconds() <= _BEATS * loop.period


def words(loop: Loop) -> str:
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
