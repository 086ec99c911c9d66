"""Wait for the end of a start, and report the cause if K3s does not become ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.linux.inotify import Directories
from k3s_rootless.operations.launch import stuck
from k3s_rootless.operations.launch.events import Died, PhaseReached, Waiting, WaitOver
from k3s_rootless.operations.launch.reconnecting import ReconnectingManager
from k3s_rootless.operations.readiness import conditions, wait
from k3s_rootless.operations.readiness.phases import KEYS
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.operations.readiness.watcher import Observer
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from typing import Any

    from k3s_rootless.background import Followed
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.events import Listener
    from k3s_rootless.operations.readiness.phases import Phase
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

_KEEPS_STARTING = "K3s keeps starting; check its progress with: k3s-rootless status"


def until_ready(  # noqa: PLR0913 (each is a fact about the start or the wait)
    context: Context,
    manager: UserManager,
    version: Version | None,
    *,
    seconds: float,
    until: str,
    started: bool,
    state: UnitState | None = None,
    patient: bool = False,
) -> list[PhaseReached]:
    """Wait until the phase with the key `until` is reached, for at most `seconds`.

    A `patient` wait ends `seconds` after the last progress that phases and journal show. `started`
    is True if this run started K3s. `state` is the unit, if `manager` was queried for it while
    watching it, and the unit was not changed since then.

    Raises NotReady if the time limit is reached, RootlessError with the cause if the start failed,
    BusError if the connection to the user manager was lost and could not be restored.
    """
    longest = seconds
    if patient:
        longest = seconds * len(KEYS)  # each phase is progress
    name = UNIT if state is None else state.name
    lasting = ReconnectingManager(context, manager, time.monotonic() + longest, name)
    state = state or lasting.unit(UNIT)
    with Directories() as notified:
        awaited = conditions.of(Start.of(context, state, version), until, notified)
        observer = Observer(awaited, manager.wake)
        lasting.journal = journal = stuck.follow(context, state.invocation, manager.wake)
        if patient:
            lasting.progress = _progress(context, state, seconds)
        course = _Course(context.listener)
        context.listener(Waiting(tuple(one.phase for one in awaited), observer.waits_for))
        try:
            outcome = wait.wait(
                observer.conditions(),
                lasting,
                state,
                seconds=seconds,
                clock=time.monotonic,
                on_reached=course.note,
                restarts=_restarts_before(state, started=started),
            )
            if isinstance(outcome, wait.Died):
                course.died(outcome)
        except KeyboardInterrupt:
            context.listener(WaitOver())
            if state.name == UNIT:
                context.notice(_KEEPS_STARTING)
            raise
        finally:
            context.listener(WaitOver())
            observer.stop()
            journal.stop()
            if lasting.progress is not None:
                lasting.progress.stop()
    if not isinstance(outcome, wait.Ready):
        raise _error(context, outcome, state, course, journal.latest(), started=started)
    return course.reached


def _progress(context: Context, state: UnitState, seconds: float) -> Followed[float]:
    # Imported here, because only an upgrade needs it.
    from k3s_rootless.operations.launch import progress

    return progress.follow(context, state.invocation, seconds)


class _Course:
    """The phases that a start has reached so far; each is sent to the listener."""

    def __init__(self, listener: Listener) -> None:
        self.reached: list[PhaseReached] = []
        self._listener = listener
        self._begun = time.monotonic()

    def note(self, phase: Phase, seconds: float) -> None:
        """Record a phase that was reached; `seconds` is the time since the wait began."""
        before = self.reached[-1].seconds if self.reached else 0.0
        self.reached.append(PhaseReached(phase, seconds, seconds - before))
        self._listener(self.reached[-1])

    def died(self, death: wait.Died) -> None:
        """Record that the start failed before the phase that the wait was for."""
        self._listener(Died(death.phase, time.monotonic() - self._begun, death.state))

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON form of the phases."""
        return [one.document() for one in self.reached]


def _restarts_before(state: UnitState, *, started: bool) -> int:
    # systemd counts from 0 again after a requested start, so each restart is a failure.
    return 0 if started else state.restarts


def _error(
    context: Context,
    outcome: wait.Died | wait.OutOfTime | wait.Stuck,
    first: UnitState,
    course: _Course,
    cause: Cause | None,
    *,
    started: bool,
) -> RootlessError:
    """Return the error for a start that did not become ready.

    `first` is the unit before the wait; `cause` is the cause for which K3s retries without end.
    """
    # Imported here: loading takes 80 ms, which a successful start does not need.
    from k3s_rootless.operations.launch import death

    phase, reached = outcome.phase, course.document()
    if isinstance(outcome, wait.Died):
        restarts = _restarts_before(first, started=started)
        error = death.while_waiting(context, outcome, first, restarts)
        error.details = {**error.details, "phase": phase.key, "reached": reached}
        return error
    details = {"phase": phase.key, "missing": outcome.missing, "reached": reached}
    if isinstance(outcome, wait.Stuck) and cause is not None:
        stopped = death.stuck(context, cause, first)
        return NotReady(stopped.message, hint=stopped.hint, details={**stopped.details, **details})
    last = f"; last reached: {course.reached[-1].phase.name}" if course.reached else ""
    found = death.first_cause(context, first.invocation)
    why = f"\nits journal shows: {found.title}\n  {found.line}" if found else ""
    return NotReady(
        f"K3s is not ready after {outcome.seconds:.0f} s: {outcome.missing} (phase:"
        f" {phase.name}{last}){why}",
        hint=_KEEPS_STARTING,
        details=details,
    )
