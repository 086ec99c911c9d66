"""Waits for a start to come to its end, and tells which end it was; survives a user manager that is
executed anew meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless.cli import follow
from k3s_rootless.errors import BusError, NotReady, RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service import readiness
from k3s_rootless.service.phases import KEYS

if TYPE_CHECKING:
    from k3s_rootless.cli.observer import Observer
    from k3s_rootless.cli.progress import Progress, Reached
    from k3s_rootless.cli.session import Session
    from k3s_rootless.cli.stuck import Stuck
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

T = TypeVar("T")
_LONGEST_PAUSE = 1.0


def until_ready(
    session: Session,
    manager: UserManager,
    version: Version | None,
    *,
    seconds: float,
    until: str,
    started: bool,
    state: UnitState | None = None,
) -> list[Reached]:
    """Wait until the phase of the key `until` is reached, for at most `seconds`; `started` tells
    that this run started K3s.

    `state` is the unit, where `manager` was asked for it since it watches it, and nothing was done
    to it.

    Raises NotReady when the time is up, RootlessError with the cause when the start failed,
    BusError when the user manager went and did not come back.
    """
    from k3s_rootless.cli.observer import Observer
    from k3s_rootless.cli.progress import Progress
    from k3s_rootless.cli.start import Start
    from k3s_rootless.cli.stuck import Stuck
    from k3s_rootless.linux.inotify import Directories

    lasting = Lasting(session, manager, time.monotonic() + seconds)
    state = state or lasting.unit(UNIT)
    with Directories() as notified:
        start = Start.of(session, state, version)
        start.notified = notified
        phases = start.phases(until)
        observer = Observer(phases, manager.wake)
        lasting.journal = stuck = Stuck(session, state.invocation, manager.wake)
        try:
            with Progress(session.report, observer, phases) as progress:
                # systemd counts anew when somebody starts the unit: more than none is a death,
                # however early it came.
                restarts = 0 if started else state.restarts
                outcome = _followed(
                    observer, lasting, state, progress, seconds=seconds, restarts=restarts
                )
        except KeyboardInterrupt:
            session.report.story(
                "K3s goes on starting; see how far it is with: k3s-rootless status"
            )
            raise
        finally:
            observer.stop()
            stuck.stop()
    if isinstance(outcome, readiness.Stuck) and stuck.cause is not None:
        raise _stuck(session, outcome, stuck.cause, state, progress)
    return _told(session, outcome, state, progress, started=started)


def _followed(
    observer: Observer,
    manager: Lasting,
    state: UnitState,
    progress: Progress,
    *,
    seconds: float,
    restarts: int,
) -> readiness.Outcome:
    outcome = readiness.wait(
        observer.phases(),
        manager,
        state,
        seconds=seconds,
        clock=time.monotonic,
        on_reached=progress.note,
        restarts=restarts,
    )
    if isinstance(outcome, readiness.Died):
        progress.died(outcome.phase, outcome.state)
    return outcome


def _told(
    session: Session,
    outcome: readiness.Outcome,
    first: UnitState,
    progress: Progress,
    *,
    started: bool,
) -> list[Reached]:
    key = {phase.name: phase.key for phase in progress.phases}
    reached = [one.document() for one in progress.reached]
    if isinstance(outcome, readiness.OutOfTime):
        details = {"phase": key[outcome.phase], "missing": outcome.missing, "reached": reached}
        last = f"; it reached `{progress.reached[-1].phase.name}`" if progress.reached else ""
        said = follow.first_cause(session, first.invocation)
        why = f"\nits journal says: {said.title}\n  {said.line}" if said else ""
        raise NotReady(
            f"K3s is not ready after {outcome.seconds:.0f} s: it waits for `{outcome.phase}`:"
            f" {outcome.missing}{last}{why}",
            hint="it goes on starting; see how far it is with: k3s-rootless status",
            details=details,
        )
    if isinstance(outcome, readiness.Died):
        error = _death(session, outcome, first, 0 if started else first.restarts)
        error.details = {**error.details, "phase": key[outcome.phase], "reached": reached}
        raise error
    return progress.reached


def _stuck(
    session: Session, outcome: readiness.Stuck, cause: Cause, state: UnitState, progress: Progress
) -> NotReady:
    """Return the error for a K3s that runs on and says that it never becomes ready."""
    from k3s_rootless.cli import evidence

    found = evidence.examined(session, cause, state)
    error = follow.named("K3s runs, and cannot become ready", found)
    key = next((phase.key for phase in progress.phases if phase.name == outcome.phase), "")
    reached = [one.document() for one in progress.reached]
    details = {**error.details, "phase": key, "missing": outcome.missing, "reached": reached}
    return NotReady(error.message, hint=error.hint, details=details)


def _death(
    session: Session, died: readiness.Died, first: UnitState, restarts: int
) -> RootlessError:
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
    error = follow.death(session, state, first.invocation if seen else "", when)
    if (loop := follow.loop(session, state)) is not None:
        from k3s_rootless.journal import loops

        error.message += f"\n  it dies again and again: {loops.words(loop)}"
        told = {"count": loop.count, "period": loop.period, "last": loop.last.isoformat()}
        error.details = {**error.details, "restarts": told}
    return error


def means_ready(reached: Sequence[Reached]) -> bool:
    """Tell whether these phases are all that K3s is called ready for: those up to a node that is
    ready.
    """
    return "node" in {one.phase.key for one in reached}


class Lasting:
    """A user manager that may go and come back while K3s starts, by re-execution or by a restart;
    see readiness.Watched.
    """

    def __init__(self, session: Session, manager: UserManager, deadline: float) -> None:
        self._session = session
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
            self._session.report.story(
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
