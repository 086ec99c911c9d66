"""Follows a start to its end, and tells which end it was."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service import readiness

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Cause
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
    """Give the error for a start that failed: the first real cause that its journal names."""
    cause = first_cause(session, invocation)
    if cause is None:
        how = f"systemd says `{state.result}`" if state.result != "success" else f"the unit is {state.active_state}"
        return RootlessError(f"K3s did not come up: it died {when}, and {how}", hint="read what it said: k3s-rootless logs")
    remedy = cause.remedy
    hint = "read what it said: k3s-rootless logs"
    if remedy is not None:
        hint = "\n".join((f"{remedy.mender.value}: {remedy.text}", *(f"  $ {command}" for command in remedy.commands)))
    check = f" ({cause.check})" if cause.check else ""
    return RootlessError(f"K3s did not come up: {cause.title}{check}\n  {cause.line}", hint=hint)


def first_cause(session: Session, invocation: str) -> Cause | None:
    """Look for the cause in the journal of one start; None where it names none, or cannot be read."""
    from k3s_rootless.journal import diagnosis, reader
    from k3s_rootless.journal.facts import Query

    if not invocation:
        return None
    try:
        with reader.read(Query(uid=session.uid, invocation=invocation)) as entries:
            return diagnosis.first_cause(entries)
    except RootlessError as error:
        session.report.story(error.message)
        return None
