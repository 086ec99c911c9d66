"""Follows a start to its end, and tells which end it was."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service import readiness

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Cause, Story
    from k3s_rootless.release.version import Version
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd import UserManager


def until_ready(session: Session, manager: UserManager, version: Version | None, *, seconds: float) -> None:
    """Wait until K3s is ready. Raises NotReady when the time is up, RootlessError with the cause when the start failed."""
    from k3s_rootless.cli.start import Start

    state = manager.unit(UNIT)
    try:
        outcome = readiness.wait(
            Start.of(session, state, version).phases(),
            manager,
            UNIT,
            seconds=seconds,
            clock=time.monotonic,
            on_reached=lambda phase, after: session.report.story(f"{after:6.1f} s  {phase.name}"),
        )
    except KeyboardInterrupt:
        session.report.story("K3s goes on starting; see how far it is with: k3s-rootless status")
        raise
    if isinstance(outcome, readiness.OutOfTime):
        raise NotReady(
            f"K3s is not ready after {outcome.seconds:.0f} s: it waits for `{outcome.phase}`: {outcome.missing}",
            hint="it goes on starting; see how far it is with: k3s-rootless status",
        )
    if isinstance(outcome, readiness.Died):
        raise death(session, outcome.state, state.invocation, f"while waiting for `{outcome.phase}`")


def death(session: Session, state: UnitState, invocation: str, when: str) -> RootlessError:
    """Give the error for a start that failed: the cause that `diagnose` would name."""
    from k3s_rootless.cli import evidence
    from k3s_rootless.journal import verdict

    cause = first_cause(session, invocation) or verdict.of_ending(evidence.ending(state))
    if cause is None:
        how = f"systemd says `{state.result}`" if state.result != "success" else f"the unit is {state.active_state}"
        return RootlessError(f"K3s did not come up: it died {when}, and {how}", hint="read what it said: k3s-rootless logs")
    cause = evidence.examined(session, cause, state)
    remedy = cause.remedy
    hint = "read what it said: k3s-rootless logs"
    if remedy is not None:
        hint = "\n".join((f"{remedy.mender.value}: {remedy.text}", *(f"  $ {command}" for command in remedy.commands)))
    check = f" ({cause.check or cause.id})" if cause.id != "unknown" else ""
    shown = "".join(f"\n  {line}" for line in (cause.line, *cause.seen) if line)
    return RootlessError(f"K3s did not come up: {cause.title}{check}{shown}", hint=hint)


def first_cause(session: Session, invocation: str) -> Cause | None:
    """Look for the cause in the journal of one start; None where it names none, or cannot be read."""
    try:
        return _heard(session, invocation, ready=False).cause
    except RootlessError as error:
        session.report.story(error.message)
        return None


def story(session: Session, state: UnitState, since: str | None, *, ready: bool) -> Story:
    """Hear what the last start said, or the one before it where that failed and this one has not said anything yet.

    With `since`, the last start since then that has a cause. Raises RootlessError where the journal cannot be read.
    """
    from k3s_rootless.journal import diagnosis, reader
    from k3s_rootless.journal.facts import Query

    if since:
        with reader.read(Query(uid=session.uid, since=since)) as entries:
            return diagnosis.last_start(entries)
    # systemd forgets the last start of a unit that was reset, and the journal remembers it.
    invocations = (state.invocation,) if state.invocation else reader.invocations(session.uid)[-1:]
    told = _heard(session, next(iter(invocations), ""), ready=ready)
    if told.cause is None and not ready and state.restarts:
        earlier = [one for one in reader.invocations(session.uid) if one not in invocations]
        before = _heard(session, next(iter(earlier[-1:]), ""), ready=False)
        return before if before.cause else told
    return told


def period(session: Session) -> float | None:
    """Give the usual time between two restarts, in seconds; None where the journal does not tell."""
    import statistics

    from k3s_rootless.journal import reader
    from k3s_rootless.journal.facts import Query

    try:
        told = reader.collect(Query(session.uid, ids=reader.RESTARTING, lines=20))
    except RootlessError:
        return None
    times = [entry.time.timestamp() for entry in told if entry.time]
    # A clock that was set back between two restarts tells nothing of the time between them.
    between = [after - before for before, after in pairwise(times) if after > before]
    return statistics.median(between) if between else None


def _heard(session: Session, invocation: str, *, ready: bool) -> Story:
    from k3s_rootless.journal import diagnosis, reader
    from k3s_rootless.journal.facts import Query, Story

    if not invocation:
        return Story(None)
    with reader.read(Query(uid=session.uid, invocation=invocation)) as entries:
        return diagnosis.story(entries, invocation, ready=ready)
