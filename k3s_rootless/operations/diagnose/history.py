"""Read the log of K3s's last start and its restarts, for all commands that show a cause."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import diagnosis, loops
from k3s_rootless.journal.facts import Query
from k3s_rootless.journal.sources import journald
from k3s_rootless.operations.diagnose import start_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.journal.facts import Cause, Entry, Loop, StartLog
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

SETTLE_SECONDS = start_log.LATE.total_seconds()
"""The maximum time in seconds until the last lines of an ended start are in the journal."""
_AFTER_THE_END = 0.5
_LOOKED_BACK, _MOST_RESTARTS = "1 hour ago", 1000
_RECENTLY = 3600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2


def of(
    context: Context, state: UnitState, since: str | None, *, ready: bool, settle: bool = False
) -> StartLog:
    """Return the log of the last start; if it has no cause, of the start before it.

    The cause of an earlier start is marked as earlier. It is not used if the last start has run for
    much longer than the time between two restarts. With `since`, return the last start since then
    that has a cause. With `settle`, wait for the last lines of a start that just ended. Raises
    RootlessError if the journal cannot be read.
    """
    if since:
        with journald.read(Query(uid=context.uid, since=since)) as entries:
            return diagnosis.last_start(entries)
    # systemd does not keep the last start of a unit that was reset, but the journal does.
    last = state.invocation or next(iter(journald.invocations(context.uid)[-1:]), "")
    if settle and state.failed and _age(state.changed) < SETTLE_SECONDS:
        return settled(context, state, last)
    log = start_log.read(context, last, ready=ready, ended=start_log.end(state))
    if log.cause is not None or ready or not _follows_failure(context, state):
        return log
    before = _before(context, state)
    return log if before.cause is None else before


def settled(context: Context, state: UnitState, invocation: str) -> StartLog:
    """Return the log of a start that just ended, once its last lines are in the journal.

    The lines of K3s and of systemd reach journald in different ways. So the wait ends with a fatal
    line, with systemd's line about a requested stop, or shortly after its line about the end, and
    after at most SETTLE_SECONDS; each change of the journal starts another check.

    Raises RootlessError if the journal cannot be read.
    """
    # Imported here: this loads ctypes (2 ms), and `status` of a failed K3s does not wait.
    from k3s_rootless.linux.inotify import Directories

    deadline = time.monotonic() + SETTLE_SECONDS
    pause = _FIRST_PAUSE
    with Directories() as journal:
        while True:
            journal.arm(journald.files())
            log = start_log.of(context, state, invocation)
            left = deadline - time.monotonic()
            fatal = log.cause is not None and log.cause.fatal
            if fatal or log.stopped or left <= 0:
                return log
            if log.ended:
                deadline = min(deadline, time.monotonic() + _AFTER_THE_END)
            journal.wait(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def earlier(context: Context, state: UnitState) -> Cause | None:
    """Return the cause that ended the start before a ready K3s.

    None if that was more than an hour ago.
    """
    if not state.restarts or _age(state.started) > _RECENTLY:
        return None
    try:
        return _before(context, state).cause
    except RootlessError:
        return None


def _follows_failure(context: Context, state: UnitState) -> bool:
    """Return whether the failure of an earlier start can explain the current state."""
    if state.failed or not state.restarts:
        return False
    return not loops.is_past(_age(state.started), period(context))


def _before(context: Context, state: UnitState) -> StartLog:
    before = start_log.of(context, state)
    if before.cause is None:
        return before
    return replace(before, cause=replace(before.cause, earlier=True))


def _age(time: datetime | None) -> float:
    if time is None:
        return 0.0
    return (datetime.now(UTC) - time).total_seconds()


def period(context: Context) -> float | None:
    """Return the usual time between two restarts in seconds, or None if it is unknown."""
    return loops.period(_restarts(context, None))


def loop(context: Context, state: UnitState) -> Loop | None:
    """Return the restart loop in systemd's lines of the last hour, or None."""
    if state.restarts < loops.FEWEST:
        return None
    return loops.of(_restarts(context, _LOOKED_BACK), state.restarts)


def _restarts(context: Context, since: str | None) -> Sequence[Entry]:
    try:
        return journald.collect(
            Query(context.uid, ids=journald.RESTARTING, since=since, lines=_MOST_RESTARTS)
        )
    except RootlessError:
        return ()
