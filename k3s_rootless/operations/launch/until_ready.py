"""Waits for a start to come to its end, and tells which end it was; survives a user manager that is
executed anew meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless.errors import BusError, NotReady, RootlessError
from k3s_rootless.operations.events import Died, PhaseReached, Waiting, WaitOver
from k3s_rootless.operations.launch import death
from k3s_rootless.operations.readiness import wait
from k3s_rootless.operations.readiness.phases import KEYS
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.events import Listener
    from k3s_rootless.operations.launch.stuck import Stuck
    from k3s_rootless.operations.readiness.wait import Phase
    from k3s_rootless.operations.readiness.watcher import Observer
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

T = TypeVar("T")
_LONGEST_PAUSE = 1.0


def until_ready(
    context: Context,
    manager: UserManager,
    version: Version | None,
    *,
    seconds: float,
    until: str,
    started: bool,
    state: UnitState | None = None,
) -> list[PhaseReached]:
    """Wait until the phase of the key `until` is reached, for at most `seconds`; `started` tells
    that this run started K3s.

    `state` is the unit, where `manager` was asked for it since it watches it, and nothing was done
    to it.

    Raises NotReady when the time is up, RootlessError with the cause when the start failed,
    BusError when the user manager went and did not come back.
    """
    from k3s_rootless.linux.inotify import Directories
    from k3s_rootless.operations.launch.stuck import Stuck
    from k3s_rootless.operations.readiness.conditions import Start
    from k3s_rootless.operations.readiness.watcher import Observer

    lasting = Lasting(context, manager, time.monotonic() + seconds)
    state = state or lasting.unit(UNIT)
    with Directories() as notified:
        start = Start.of(context, state, version)
        start.notified = notified
        phases = start.phases(until)
        observer = Observer(phases, manager.wake)
        lasting.journal = stuck = Stuck(context, state.invocation, manager.wake)
        course = _Course(context.listener, tuple(phases))
        context.listener(Waiting(course.phases, observer.waits_for))
        # systemd counts anew when somebody starts the unit: more than none is a death, however
        # early it came.
        restarts = 0 if started else state.restarts
        try:
            outcome = _followed(
                observer, lasting, state, course, seconds=seconds, restarts=restarts
            )
        except KeyboardInterrupt:
            context.listener(WaitOver())
            context.notice("K3s goes on starting; see how far it is with: k3s-rootless status")
            raise
        finally:
            context.listener(WaitOver())
            observer.stop()
            stuck.stop()
    if isinstance(outcome, wait.Stuck) and stuck.cause is not None:
        raise _stuck(context, outcome, stuck.cause, state, course)
    return _told(context, outcome, state, course, started=started)


def _followed(
    observer: Observer,
    manager: Lasting,
    state: UnitState,
    course: _Course,
    *,
    seconds: float,
    restarts: int,
) -> wait.Outcome:
    outcome = wait.wait(
        observer.phases(),
        manager,
        state,
        seconds=seconds,
        clock=time.monotonic,
        on_reached=course.note,
        restarts=restarts,
    )
    if isinstance(outcome, wait.Died):
        course.died(outcome.phase, outcome.state)
    return outcome


def _told(
    context: Context,
    outcome: wait.Outcome,
    first: UnitState,
    course: _Course,
    *,
    started: bool,
) -> list[PhaseReached]:
    key = {phase.name: phase.key for phase in course.phases}
    reached = [one.document() for one in course.reached]
    if isinstance(outcome, wait.OutOfTime):
        details = {"phase": key[outcome.phase], "missing": outcome.missing, "reached": reached}
        last = f"; it reached `{course.reached[-1].phase.name}`" if course.reached else ""
        said = death.first_cause(context, first.invocation)
        why = f"\nits journal says: {said.title}\n  {said.line}" if said else ""
        raise NotReady(
            f"K3s is not ready after {outcome.seconds:.0f} s: it waits for `{outcome.phase}`:"
            f" {outcome.missing}{last}{why}",
            hint="it goes on starting; see how far it is with: k3s-rootless status",
            details=details,
        )
    if isinstance(outcome, wait.Died):
        error = _death(context, outcome, first, 0 if started else first.restarts)
        error.details = {**error.details, "phase": key[outcome.phase], "reached": reached}
        raise error
    return course.reached


def _stuck(
    context: Context, outcome: wait.Stuck, cause: Cause, state: UnitState, course: _Course
) -> NotReady:
    """Return the error for a K3s that runs on and says that it never becomes ready."""
    from k3s_rootless.operations.diagnose import evidence

    found = evidence.examined(context, cause, state)
    error = death.named("K3s runs, and cannot become ready", found)
    key = next((phase.key for phase in course.phases if phase.name == outcome.phase), "")
    reached = [one.document() for one in course.reached]
    details = {**error.details, "phase": key, "missing": outcome.missing, "reached": reached}
    return NotReady(error.message, hint=error.hint, details=details)


def _death(context: Context, died: wait.Died, first: UnitState, restarts: int) -> RootlessError:
    state, when = died.state, f"while waiting for `{died.phase}`"
    if state.result == "success" and not state.dead and state.restarts <= restarts:
        # Whoever asked systemd to stop or restart it: no death of its own.
        stopped = RootlessError(
            f"K3s did not come up: somebody stopped it {when}",
            hint="start it again: k3s-rootless up",
        )
        stopped.details = {"cause": "stopped", "check": None}
        return stopped
    # Where it was restarted before anybody looked, the first look was at another start than the one
    # that died.
    seen = first.restarts <= restarts or first.invocation != state.invocation
    error = death.death(context, state, first.invocation if seen else "", when)
    from k3s_rootless.operations.diagnose import story

    if (loop := story.loop(context, state)) is not None:
        from k3s_rootless.journal import loops

        error.message += f"\n  it dies again and again: {loops.words(loop)}"
        told = {"count": loop.count, "period": loop.period, "last": loop.last.isoformat()}
        error.details = {**error.details, "restarts": told}
    return error


def means_ready(reached: Sequence[PhaseReached]) -> bool:
    """Tell whether these phases are all that K3s is called ready for: those up to a node that is
    ready.
    """
    return "node" in {one.phase.key for one in reached}


class _Course:
    """The phases that a start has reached so far; the listener hears of each."""

    def __init__(self, listener: Listener, phases: tuple[Phase, ...]) -> None:
        self.phases = phases
        self.reached: list[PhaseReached] = []
        self._listener = listener
        self._begun = time.monotonic()

    def note(self, phase: Phase, seconds: float) -> None:
        """Note that a phase was reached, so many seconds after the beginning."""
        before = self.reached[-1].seconds if self.reached else 0.0
        self.reached.append(PhaseReached(phase, seconds, seconds - before))
        self._listener(self.reached[-1])

    def died(self, phase: str, state: UnitState) -> None:
        """Note that the start failed while the phase of this name was waited for."""
        key = next((one.key for one in self.phases if one.name == phase), "")
        self._listener(Died(phase, key, time.monotonic() - self._begun, state))


class Lasting:
    """A user manager that may go and come back while K3s starts, by re-execution or by a restart;
    see readiness.Watched.
    """

    def __init__(self, context: Context, manager: UserManager, deadline: float) -> None:
        self._context = context
        self._manager = manager
        self._deadline = deadline
        self.journal: Stuck | None = None

    def unit(self, name: str) -> UnitState:
        """Give the unit's state. Raises BusError when nobody answers until the time is up."""
        return self._tried(lambda: self._manager.unit(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the unit; that the manager came back counts as one."""
        return self._tried(lambda: self._manager.wait_change(seconds))

    def stuck(self, key: str) -> bool:
        """Return whether the journal names a cause for which K3s never reaches the phase of this
        key.
        """
        cause = self.journal.cause if self.journal is not None else None
        return cause is not None and KEYS.index(key) >= KEYS.index(cause.waits)

    def _tried(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except BusError as error:
            self._context.notice(
                f"lost the user manager ({error.message}); looking whether it comes back"
            )
        pause = 0.05
        while True:
            try:
                self._manager.reopen(UNIT)
                return ask()
            except BusError as error:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    message = (
                        "lost the user manager while K3s was starting, and it did not come back:"
                        f" {error.message}"
                    )
                    raise BusError(
                        message, hint="log in again, then see: k3s-rootless status"
                    ) from error
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
