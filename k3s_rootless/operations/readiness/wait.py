"""Wait until K3s is ready, phase by phase, or until K3s cannot become ready any more.

K3s's unit has Type=simple: systemd reports it as started, although K3s may exit half a minute later
and do so repeatedly. So the wait follows the start to its end: a change of the unit ends the wait
at once, even while a query of a peer is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.service.facts import UnitState

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.1
"""Seconds between two checks without a signal, the maximum delay until a change is seen."""
PATIENCE = 0.25
"""Seconds between two checks with a signal, which may be lost or not supported by a file system."""
FIRST_CHECK = 5.0
"""The time in seconds for the first check of the phases after the time limit.

So each phase is checked once, even with a time limit of 0.
"""


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition for a phase.

    `missing` performs a check and returns what is missing, or None. `wait` waits for at most the
    given seconds until a signal shows that another check may have a new result; None if there is no
    signal.
    """

    phase: Phase
    missing: Callable[[], str | None]
    wait: Callable[[float], object] | None = None
    checked: Callable[[], bool] | None = None
    """Return whether `missing` is the result of a check; None if `missing` performs the check."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All phases were reached after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Died:
    """The start failed, or the unit was stopped; `state` is what the user manager reported then."""

    phase: Phase
    state: UnitState


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The time limit was reached before `phase`, because of `missing`."""

    phase: Phase
    missing: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """K3s runs, but cannot reach `phase` without help, because of `missing`."""

    phase: Phase
    missing: str
    seconds: float


Outcome = Ready | Died | OutOfTime | Stuck


class Watched(Protocol):
    """A user manager that watches one unit."""

    def unit(self, name: str) -> UnitState:
        """Return the state of the unit."""

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the unit; return whether there was one."""

    def stuck(self, key: str) -> bool:
        """Return whether K3s keeps running but can never reach the phase with this key."""

    def last_progress(self) -> float | None:
        """Return when the start made progress last; None if the time limit is fixed."""


def wait(
    conditions: Sequence[Condition],
    manager: Watched,
    state: UnitState,
    *,
    seconds: float,
    clock: Callable[[], float],
    on_reached: Callable[[Phase, float], None],
    restarts: int | None = None,
) -> Outcome:
    """Wait for all conditions, in order, for at most `seconds`.

    `on_reached` is called for each phase, with the seconds since the wait began. A condition that
    was not checked yet gets up to FIRST_CHECK seconds more, because without a check, "not ready"
    would be a guess. If the manager follows the progress, the limit is counted from the last phase
    or the last progress.

    `state` is the unit as the user manager reported it while it watched the unit. If the unit was
    restarted more than `restarts` times, the start has failed; None means the current number of
    restarts.
    """
    begun = since = clock()
    first = state if restarts is None else replace(state, restarts=restarts)
    for condition in conditions:
        pause = FIRST_PAUSE
        while True:
            if _over(first, state):
                return Died(condition.phase, state)
            missing = condition.missing()
            if missing is None:
                break
            if manager.stuck(condition.phase.key):
                return Stuck(condition.phase, missing, clock() - begun)
            counted = _counted_from(begun, since, manager.last_progress())
            left = counted + seconds - clock() + _extra_seconds(condition)
            if left <= 0:
                late = OutOfTime(condition.phase, missing, clock() - begun)
                return _late(late, first, manager)
            if manager.wait_change(min(pause, left)):
                state = manager.unit(first.name)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        since = clock()
        on_reached(condition.phase, since - begun)
    # The unit may have failed after the last check: query it once more before returning Ready.
    state = manager.unit(first.name)
    if _over(first, state):
        return Died(conditions[-1].phase, state)
    return Ready(clock() - begun)


def first_missing(conditions: Sequence[Condition]) -> tuple[Phase, str] | None:
    """Check all conditions once, in order; return the first unmet phase and what is missing."""
    for condition in conditions:
        missing = condition.missing()
        if missing is not None:
            return condition.phase, missing
    return None


def _counted_from(begun: float, reached: float, progress: float | None) -> float:
    """Return from when the time limit is counted; `reached` is the time of the last phase."""
    if progress is None:
        return begun
    return max(reached, progress)


def _extra_seconds(condition: Condition) -> float:
    """Return the seconds beyond the time limit that a first check may take."""
    if condition.checked is None or condition.checked():
        return 0.0
    return FIRST_CHECK


def _late(late: OutOfTime, first: UnitState, manager: Watched) -> Outcome:
    # If the unit failed without a signal, that is the result, not the time limit.
    state = manager.unit(first.name)
    if _over(first, state):
        return Died(late.phase, state)
    return late


def _over(first: UnitState, state: UnitState) -> bool:
    return (
        state.failed
        or not state.running
        or state.restarts > first.restarts
        or state.invocation != first.invocation
    )
