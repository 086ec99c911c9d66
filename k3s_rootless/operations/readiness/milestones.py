"""The milestones of a start that can be found afterwards, and the source of each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from k3s_rootless.operations.readiness.phases import LOGGED, NODE_READY
from k3s_rootless.printable import json_time

GRAIN = timedelta(seconds=1)
"""File systems round times, some to whole seconds."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """One milestone of a start.

    `time` (UTC) is None if it is unknown, and then `reason` is the reason. `source` is where the
    time was read.
    """

    name: str
    time: datetime | None
    source: str
    reason: str = ""


def in_line(message: str) -> str | None:
    """Return the milestone that a line of the journal reports, or None."""
    return next((name for name, text in LOGGED if text in message), None)


def of_files(
    files: Mapping[str, tuple[str, datetime | None, str]], started: datetime | None
) -> list[Milestone]:
    """Return the milestones that the times of files show.

    `files` maps the name of a milestone to the path, the time of its last change (or None), and the
    reason why there is no time. A file that is older than the start belongs to an earlier start.
    """
    found = []
    for name, (path, time, reason) in files.items():
        source = f"time of {path}"
        if time is None:
            found.append(Milestone(name, None, source, reason))
        elif started is None:
            found.append(Milestone(name, None, source, "the time of this start is not known"))
        elif time + GRAIN < started:
            found.append(Milestone(name, None, source, f"{path} is older than this start"))
        else:
            found.append(Milestone(name, max(time, started), source))
    return found


def of_journal(times: Mapping[str, datetime], read: str) -> list[Milestone]:
    """Return the milestones in the journal.

    `read` is the reason why the journal could not be read; empty if it was read.
    """
    source = "the journal"
    return [
        Milestone(
            name, times.get(name), source, "" if name in times else read or "no line shows it"
        )
        for name, _ in LOGGED
    ]


def ordered(milestones: Sequence[Milestone]) -> tuple[Milestone, ...]:
    """Sort the milestones that have a time; those without a time keep their place."""
    timed = iter(sorted((one for one in milestones if one.time), key=_time))
    return tuple(next(timed) if one.time else one for one in milestones)


def _time(milestone: Milestone) -> float:
    if milestone.time is None:
        return 0.0
    time = milestone.time
    # Kubernetes reports whole seconds: the node was ready at some time in this second.
    if milestone.name == NODE_READY:
        time += GRAIN
    return time.timestamp()


def document(milestones: Sequence[Milestone], started: datetime | None) -> list[dict[str, object]]:
    """Return the JSON form of the milestones; `seconds` counts from the start."""
    return [
        {
            "phase": one.name,
            "time": json_time(one.time),
            "seconds": round((one.time - started).total_seconds(), 3)
            if one.time and started
            else None,
            "source": one.source,
            "reason": one.reason,
        }
        for one in milestones
    ]
