"""Read what one start of K3s wrote to the journal.

This includes lines that journald assigned to no start.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.facts import Query, StartLog, Unowned
from k3s_rootless.journal.sources import journald

if TYPE_CHECKING:
    from datetime import datetime

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

LATE = timedelta(seconds=15)
"""The maximum delay of journald on a machine under load."""
_MOMENT = timedelta(seconds=1)
_BEFORE_THE_END = timedelta(seconds=10)
_IDENTIFIER = "k3s"
"""The identifier of K3s's lines in the journal: the file name of ExecStart."""


def of(context: Context, state: UnitState, invocation: str = "") -> StartLog:
    """Return the log of the start `invocation`; without it, of the start that failed last.

    Raises RootlessError.
    """
    if invocation and invocation == state.invocation:
        return read(context, invocation, ready=False, ended=end(state))
    failed, ended = _last_failed(context, state)
    if invocation and invocation != failed:
        # systemd has started the unit again, shortly after that end.
        return read(context, invocation, ready=False, ended=state.started)
    return read(context, failed, ready=False, ended=ended)


def read(
    context: Context, invocation: str, *, ready: bool, ended: datetime | None = None
) -> StartLog:
    """Return the log of one start.

    `ready` is True if this start is ready now; `ended` is when it ended, or None.

    A line of a process that ends at once may have no invocation: see `Query.unowned`. If the
    start's own lines contain no fatal cause, such lines of K3s from the last moments before the end
    are read, too. Lines from over a second before the first line of this start are left out,
    because they belong to the previous start. Raises RootlessError.
    """
    if not invocation:
        return StartLog(None)
    own = _read(Query(uid=context.uid, invocation=invocation), ready=ready)
    if own.cause is None:
        # Imported here: most failures are in the journal, and few users let K3s write a file.
        from k3s_rootless.operations import k3s_log

        own = k3s_log.start(context, own, ended, ready=ready) or own
    if ended is None or own.file or (own.cause is not None and own.cause.fatal):
        return own
    since = ended - _BEFORE_THE_END
    if own.began is not None:
        # journald reads the lines of systemd and of K3s from two sockets, in any order.
        since = max(since, own.began - _MOMENT)
    unowned = Unowned(_IDENTIFIER, since, ended + LATE)
    more = _read(Query(uid=context.uid, invocation=invocation, unowned=unowned), ready=ready)
    return own if more.cause is None else more


def end(state: UnitState) -> datetime | None:
    """Return when the last start of the unit ended; None while it runs."""
    return None if state.running else state.changed


def _read(query: Query, *, ready: bool) -> StartLog:
    with journald.read(query) as entries:
        own = (
            entry
            for entry in entries
            if not entry.invocation or entry.invocation == query.invocation
        )
        return diagnosis.read_start(own, query.invocation or "", ready=ready)


def _last_failed(context: Context, state: UnitState) -> tuple[str, datetime | None]:
    """Return the start that failed last, and the time; empty if the journal does not show it.

    Raises RootlessError.

    journald may be delayed, and drops lines, including systemd's, if there are too many
    (RateLimitBurst= of journald.conf(5), in half a minute, for all programs of a user). So the last
    start that journald has may be an old one, which ended in another way. For this reason, the
    scheduled restart must be newer than the end of the unit.
    """
    if state.failed:
        return state.invocation, state.changed
    # Between two starts, systemd reports the unit as inactive for a moment, shortly after the line
    # about the restart.
    for restart in journald.collect(Query(context.uid, ids=journald.RESTARTING, lines=1)):
        if (
            restart.invocation
            and restart.time
            and (state.ended is None or restart.time >= state.ended - _MOMENT)
        ):
            return restart.invocation, restart.time
    return "", None
