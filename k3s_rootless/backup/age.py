"""Judge the age of the last backup, and the scheduled backups."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k3s_rootless.backup.records import Age, Outcome

if TYPE_CHECKING:
    from k3s_rootless.backup.records import ScheduledRun

LONGEST_RUN = timedelta(hours=1)
"""systemd ends a scheduled backup after this time (its unit, TimeoutStartSec)."""
_PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_HINT = "see: journalctl --user -u k3s-rootless-backup"


def judge(
    last: datetime | None,
    every: str | None,
    since: datetime | None,
    run: ScheduledRun | None,
    now: datetime,
) -> Age:
    """Return the age of backups; without a schedule, nothing is wrong with it.

    `last` is the time of the newest backup, `every` the schedule, and `since` when it was set.
    """
    problem = ""
    if every is not None:
        problem = _failure(run, since, now) or _delay(last, every, since, now)
    return Age(last, every, problem)


def _failure(run: ScheduledRun | None, since: datetime | None, now: datetime) -> str:
    if run is None or (since is not None and run.begun < since):
        return ""
    begun = f"{run.begun:%Y-%m-%d %H:%M} UTC"
    if run.outcome is Outcome.FAILED:
        return f"the scheduled backup of {begun} failed: {run.problem}"
    if run.outcome is Outcome.RUNNING and now - run.begun > LONGEST_RUN:
        return f"the scheduled backup of {begun} was interrupted; {_HINT}"
    return ""


def _delay(last: datetime | None, every: str, since: datetime | None, now: datetime) -> str:
    """Return whether the timer did not run; a delay of one period is normal after a holiday."""
    period = _PERIODS.get(every)
    newest = max((one for one in (last, since) if one is not None), default=None)
    if period is None or newest is None or now - newest <= 2 * period:
        return ""
    days = (now - newest).days
    return f"backups are scheduled {every}, but there was none for {days} days; {_HINT}"
