"""Waits until K3s is ready, phase by phase, or until it is known that K3s will not be ready.

K3s's unit is of Type=simple: systemd reports it as started while K3s may die half a minute later,
again and again. So a start is followed to its end: a change of the unit ends a wait at once, even
while a question to a peer is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.service.facts import UnitState

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.1
"""Seconds between two looks without a signal: what becomes true is seen at most this much later."""
PATIENCE = 0.25
"""Seconds between two looks with a signal, which may be lost or not given by a file system."""
FIRST_LOOK = 5.0
"""Seconds that the first look at the phases may take when the time is up: with a time of 0, each
phase is looked at once.
"""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be true for a phase to be reached.

    `missing` looks, and returns what is missing, or None. `wait` waits for at most so many seconds
    until another look may be worth it, by whatever signal there is; None if there is no signal.
    """

    phase: Phase
    missing: Callable[[], str | None]
    wait: Callable[[float], object] | None = None
    looked: Callable[[], bool] | None = None
    """Returns whether `missing` rests on a look at this phase; None if `missing` itself looks."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Every phase was reached, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Died:
    """The start failed, or something stopped the unit; `state` is what the manager said then."""

    phase: Phase
    state: UnitState


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The time is up, and `phase` was not reached, because of `missing`."""

    phase: Phase
    missing: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """K3s runs, and is known never to reach `phase` by itself, because of `missing`."""

    phase: Phase
    missing: str
    seconds: float


Outcome = Ready | Died | OutOfTime | Stuck


class Watched(Protocol):
    """A user manager that watches one unit."""

    def unit(self, name: str) -> UnitState:
        """Return the unit's state."""

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the unit; return whether there was one."""

    def stuck(self, key: str) -> bool:
        """Return whether K3s is known to keep running without ever reaching the phase of this
        key.
        """


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
    """Wait for all conditions, in order, for at most `seconds`; call `on_reached` for each phase
    with the seconds since the beginning.

    A condition without a look yet gets up to FIRST_LOOK seconds more: without a look, "not ready"
    would be a guess.

    `state` is what the manager said of the unit while it watched it. A unit that was restarted more
    often than `restarts` has died; None takes the count that it has now.
    """
    begun = clock()
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
            left = begun + seconds - clock() + _granted(condition)
            if left <= 0:
                late = OutOfTime(condition.phase, missing, clock() - begun)
                return _late(late, first, manager)
            if manager.wait_change(min(pause, left)):
                state = manager.unit(first.name)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        on_reached(condition.phase, clock() - begun)
    # The last looks may be older than a death: query the unit once more before returning Ready.
    state = manager.unit(first.name)
    if _over(first, state):
        return Died(conditions[-1].phase, state)
    return Ready(clock() - begun)


def first_missing(conditions: Sequence[Condition]) -> tuple[Phase, str] | None:
    """Look once at all conditions, in order; return the first phase that is not reached, and what
    is missing.
    """
    for condition in conditions:
        missing = condition.missing()
        if missing is not None:
            return condition.phase, missing
    return None


def _granted(condition: Condition) -> float:
    """Return the seconds beyond the time limit that a first look may take."""
    if condition.looked is None or condition.looked():
        return 0.0
    return FIRST_LOOK


def _late(late: OutOfTime, first: UnitState, manager: Watched) -> Outcome:
    # The unit may have died without a signal: that is no lack of time.
    state = manager.unit(first.name)
    if _over(first, state):
        return Died(late.phase, state)
    return late


def _over(first: UnitState, state: UnitState) -> bool:
    return (
        state.dead
        or not state.running
        or state.restarts > first.restarts
        or state.invocation != first.invocation
    )
