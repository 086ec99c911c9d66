"""Records of the age of backups and of scheduled backups, apart because `status` loads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Outcome(Enum):
    """How far a scheduled backup is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """The last scheduled backup: its outcome, its beginning (UTC), and why it failed."""

    outcome: Outcome
    begun: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Age:
    """When backups were made, and what is wrong with the scheduled ones.

    `last` is the time of the newest backup, `every` the schedule; None if there is none. `problem`
    is empty without a schedule.
    """

    last: datetime | None
    every: str | None
    problem: str = ""
