"""Tells what a start died of, by its journal and by what systemd says of its end."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.diagnose import last_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.journal.facts import Cause, Entry, Loop, Story
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


SETTLE_SECONDS = last_words.LATE.total_seconds()
"""How long the journal of a start that ended is waited for."""
_AFTER_THE_END = 0.5
_LOOKED_BACK, _MOST_RESTARTS = "1 hour ago", 1000
_RECENTLY = 3600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2


def death(context: Context, state: UnitState, invocation: str, when: str) -> RootlessError:
    """Give the error for a start that failed just now: the cause that `diagnose` would name.

    `invocation` is empty where nobody saw which start it was.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import ending, evidence

    try:
        told = _settled(context, state, invocation)
    except RootlessError as error:
        from k3s_rootless.journal.facts import Story

        context.notice(error.message)
        told = Story(None)
    cause = verdict.of_story(told, ending.of(state))
    if cause is None:
        how = (
            f"systemd says `{state.result}`"
            if state.result != "success"
            else f"the unit is {state.active_state}"
        )
        return RootlessError(
            f"K3s did not come up: it died {when}, and {how}",
            hint="read what it said: k3s-rootless logs",
        )
    return named("K3s did not come up", evidence.examined(context, cause, state))


def perform(context: Context, manager: UserManager, step: Step) -> None:
    """Do one step of a plan.

    Raises RootlessError, which for a start that systemd refuses names what keeps it.
    """
    from k3s_rootless.errors import SystemdError
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import steps

    starts = isinstance(step, steps.Start | steps.Restart)
    try:
        apply.perform(step, manager)
    except SystemdError as error:
        state = manager.unit(UNIT)
        if not starts:
            raise
        if state.result != "start-limit-hit":
            raise refused(context, state, error) from error
        # The limit is there to end loops of systemd's own; this start was asked for by somebody, as
        # were those before it.
        context.notice(
            f"systemd refuses, since {UNIT} was started too often within a short time: let it"
            " forget that"
        )
        apply.perform(steps.ResetFailed(UNIT, "it was started too often"), manager)
        apply.perform(step, manager)


def refused(context: Context, state: UnitState, error: RootlessError) -> RootlessError:
    """Give the error for a start that systemd did not even try: masked, unreadable, or started too
    often.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import ending, evidence

    end = ending.of(state)
    cause = verdict.of_unit(end) or verdict.of_ending(end)
    return (
        error if cause is None else named(error.message, evidence.examined(context, cause, state))
    )


def named(what: str, cause: Cause) -> RootlessError:
    """Give the error that names a cause, with what was seen of it and its remedy."""
    remedy = cause.remedy
    hint = "read what it said: k3s-rootless logs"
    if remedy is not None:
        hint = "\n".join(
            (
                f"{remedy.mender.value}: {remedy.text}",
                *(f"  $ {command}" for command in remedy.commands),
            )
        )
    check = f" ({cause.check or cause.id})" if cause.id != "unknown" else ""
    shown = "".join(f"\n  {line}" for line in (cause.line, *cause.frames, *cause.seen) if line)
    details = {"cause": cause.id, "check": cause.check or None}
    return RootlessError(f"{what}: {cause.title}{check}{shown}", hint=hint, details=details)


def _settled(context: Context, state: UnitState, invocation: str) -> Story:
    """Look for the cause in the journal of a start that ended just now, which may take in its last
    lines after its end.

    What K3s says and what systemd says of it come to journald by different ways. So a fatal line
    ends the look, and systemd's own word on the end a little later; it never takes more than
    SETTLE_SECONDS, in turns that a change of the journal ends. Raises RootlessError where the
    journal cannot be read.
    """
    from k3s_rootless.journal.sources import journald
    from k3s_rootless.linux.inotify import Directories

    deadline = time.monotonic() + SETTLE_SECONDS
    pause = _FIRST_PAUSE
    with Directories() as journal:
        while True:
            journal.arm(journald.files())
            told = last_words.of(context, state, invocation)
            left = deadline - time.monotonic()
            if (told.cause is not None and told.cause.fatal) or left <= 0:
                return told
            if told.ended:
                deadline = min(deadline, time.monotonic() + _AFTER_THE_END)
            journal.wait(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def first_cause(context: Context, invocation: str) -> Cause | None:
    """Look for the cause in the journal of one start; None where it names none, or cannot be
    read.
    """
    try:
        return last_words.heard(context, invocation, ready=False).cause
    except RootlessError as error:
        context.notice(error.message)
        return None


def story(
    context: Context, state: UnitState, since: str | None, *, ready: bool, settle: bool = False
) -> Story:
    """Hear what the last start said, or the one that died before it where this one has not said
    anything yet.

    The cause of that one is marked as earlier; once this start has lived much longer, that one
    explains nothing. With `since`, the last start since then that has a cause. With `settle`, the
    last lines of a start that ended just now are waited for. Raises RootlessError where the journal
    cannot be read.
    """
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.journal.sources import journald

    if since:
        with journald.read(Query(uid=context.uid, since=since)) as entries:
            return diagnosis.last_start(entries)
    # systemd forgets the last start of a unit that was reset, and the journal remembers it.
    last = state.invocation or next(iter(journald.invocations(context.uid)[-1:]), "")
    if settle and state.dead and _age(state.changed) < SETTLE_SECONDS:
        return _settled(context, state, last)
    told = last_words.heard(context, last, ready=ready, ended=last_words.end(state))
    if told.cause is not None or ready or state.dead or not state.restarts:
        return told
    from k3s_rootless.journal import loops

    if loops.is_past(_age(state.started), period(context)):
        return told
    before = _before(context, state)
    return told if before.cause is None else before


def earlier(context: Context, state: UnitState) -> Cause | None:
    """Return the cause that ended the start before a K3s that is ready now; None if that was more
    than an hour ago.
    """
    if not state.restarts or _age(state.started) > _RECENTLY:
        return None
    try:
        return _before(context, state).cause
    except RootlessError:
        return None


def _before(context: Context, state: UnitState) -> Story:
    before = last_words.of(context, state)
    if before.cause is None:
        return before
    return replace(before, cause=replace(before.cause, earlier=True))


def _age(time: datetime | None) -> float:
    return (datetime.now(UTC) - time).total_seconds() if time else 0.0


def period(context: Context) -> float | None:
    """Give the usual time between two restarts, in seconds; None where the journal does not
    tell.
    """
    from k3s_rootless.journal import loops

    return loops.period([entry.time for entry in _restarts(context, None) if entry.time])


def loop(context: Context, state: UnitState) -> Loop | None:
    """Tell whether K3s dies again and again, by what systemd said within the last hour; None where
    it does not.
    """
    from k3s_rootless.journal import loops

    return (
        loops.of(_restarts(context, _LOOKED_BACK), state.restarts)
        if state.restarts >= loops.FEWEST
        else None
    )


def _restarts(context: Context, since: str | None) -> Sequence[Entry]:
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.journal.sources import journald

    try:
        return journald.collect(
            Query(context.uid, ids=journald.RESTARTING, since=since, lines=_MOST_RESTARTS)
        )
    except RootlessError:
        return ()
