"""What a start reaches, as far as it can be seen afterwards, and where each time was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from k3s_rootless.operations.readiness.phases import SAID

GRAIN = timedelta(seconds=1)
"""File systems round times, some to whole seconds."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """One thing that a start reaches; `time` (UTC) is None where nobody saw it, and `reason` then
    says why.

    `source` says where the time comes from.
    """

    name: str
    time: datetime | None
    source: str
    reason: str = ""


def noticed(message: str) -> str | None:
    """Give the milestone that a line tells of."""
    return next((name for name, words in SAID if words in message), None)


def of_files(
    files: Mapping[str, tuple[str, datetime | None, str]], started: datetime | None
) -> list[Milestone]:
    """Judge the times of files: name of the milestone → path, time of its last change or None, why
    there is none.

    A file that is older than the start was left by another one.
    """
    found = []
    for name, (path, time, reason) in files.items():
        source = f"time of {path}"
        if time is None:
            found.append(Milestone(name, None, source, reason))
        elif started is None:
            found.append(Milestone(name, None, source, "when this start began is not known"))
        elif time + GRAIN < started:
            found.append(Milestone(name, None, source, f"{path} is older than this start"))
        else:
            found.append(Milestone(name, max(time, started), source))
    return found


def of_journal(times: Mapping[str, datetime], read: str) -> list[Milestone]:
    """Give what the journal told; `read` says why it could not be read, empty where it could."""
    source = "the journal"
    return [
        Milestone(name, times.get(name), source, "" if name in times else read or "no line says so")
        for name, _ in SAID
    ]


def ordered(milestones: Sequence[Milestone]) -> tuple[Milestone, ...]:
    """Put what was seen in its order of time; what was not keeps its place behind what it was
    expected after.
    """
    seen = iter(sorted((one for one in milestones if one.time), key=_time))
    return tuple(next(seen) if one.time else one for one in milestones)


def _time(milestone: Milestone) -> float:
    return milestone.time.timestamp() if milestone.time else 0.0


def document(milestones: Sequence[Milestone], started: datetime | None) -> list[dict[str, object]]:
    """Give them as JSON has it; `seconds` counts from the start."""
    return [
        {
            "phase": one.name,
            "time": one.time.isoformat() if one.time else None,
            "seconds": round((one.time - started).total_seconds(), 3)
            if one.time and started
            else None,
            "source": one.source,
            "reason": one.reason,
        }
        for one in milestones
    ]
