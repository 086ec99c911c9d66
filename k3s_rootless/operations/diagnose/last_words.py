"""Reads what one start of K3s wrote to the journal, also the lines that journald assigned to no
start.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.facts import Query, Story, Unowned
from k3s_rootless.journal.sources import journald

if TYPE_CHECKING:
    from datetime import datetime

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

LATE = timedelta(seconds=15)
"""How far journald may be behind on a machine under load."""
_MOMENT = timedelta(seconds=1)
_BEFORE_THE_END = timedelta(seconds=10)
_IDENTIFIER = "k3s"
"""What systemd names the lines of K3s: the file name of ExecStart."""


def of(context: Context, state: UnitState, invocation: str = "") -> Story:
    """Return the story of the start `invocation`, or of the one that died last.

    Raises RootlessError.
    """
    if invocation and invocation == state.invocation:
        return heard(context, invocation, ready=False, ended=end(state))
    died, ended = _died_last(context, state)
    if invocation and invocation != died:
        # systemd has started the unit again meanwhile, soon after that end.
        return heard(context, invocation, ready=False, ended=state.started)
    return heard(context, died, ready=False, ended=ended)


def heard(
    context: Context, invocation: str, *, ready: bool, ended: datetime | None = None
) -> Story:
    """Return the story of one start, the one that is `ready` now or another; `ended` is when it
    ended, if it did.

    A line of a process that ends at once may have no invocation: see `Query.unowned`. Such lines of
    K3s from the last moments before the end are read as well if the start's own lines hold no fatal
    one: not from before the first of those, since they would be the last words of the start before.
    Raises RootlessError.
    """
    if not invocation:
        return Story(None)
    own = _story(Query(uid=context.uid, invocation=invocation), ready=ready)
    if ended is None or (own.cause is not None and own.cause.fatal):
        return own
    moment = ended - _BEFORE_THE_END
    unowned = Unowned(_IDENTIFIER, max(moment, own.began or moment), ended + LATE)
    more = _story(Query(uid=context.uid, invocation=invocation, unowned=unowned), ready=ready)
    return own if more.cause is None else more


def end(state: UnitState) -> datetime | None:
    """Return when the last start of the unit ended; None while it runs."""
    return None if state.running else state.changed


def _story(query: Query, *, ready: bool) -> Story:
    with journald.read(query) as entries:
        own = (
            entry
            for entry in entries
            if not entry.invocation or entry.invocation == query.invocation
        )
        return diagnosis.story(own, query.invocation or "", ready=ready)


def _died_last(context: Context, state: UnitState) -> tuple[str, datetime | None]:
    """Return the start that died last, and when; empty if the journal does not show it.

    Raises RootlessError.

    journald may be behind, and drops lines where too many come (RateLimitBurst= of
    journald.conf(5), in half a minute, for all that a user runs), systemd's among them. So the
    start that it has last may be one of long ago, which ended otherwise: a restart is scheduled
    after the unit came to its end.
    """
    if state.dead:
        return state.invocation, state.changed
    # Between two starts, systemd calls the unit inactive for a moment, just after it has said that
    # it restarts it.
    for restart in journald.collect(Query(context.uid, ids=journald.RESTARTING, lines=1)):
        if (
            restart.invocation
            and restart.time
            and (state.ended is None or restart.time >= state.ended - _MOMENT)
        ):
            return restart.invocation, restart.time
    return "", None
