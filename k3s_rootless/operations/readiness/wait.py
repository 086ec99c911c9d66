"""Waits until K3s is ready, phase by phase, or until it is known that it will not be.

K3s's unit is of Type=simple: systemd says "started" while K3s may die half a minute later, again
and again. So a start is followed to its end: a change of the unit ends a wait at once, whatever is
being asked meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from k3s_rootless.service.facts import UnitState

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.1
"""Seconds between two questions where nothing tells when to ask: what becomes true is told at most
this much later.
"""
PATIENCE = 0.25
"""Seconds between two questions where something does tell, for a signal that was lost or that a
file system does not give.
"""
FIRST_LOOK = 5.0
"""Seconds that the first look at the phases may take when the time is up: with a time of 0, each
phase is looked at once.
"""


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that must be true; `missing` looks, and gives None when it is, or what is still
    waited for.

    `key` is what users and JSON call it. `wait` waits for at most so many seconds until looking
    again may be worth it, by whatever signal there is of it; None where nothing tells, and only
    asking helps.
    """

    name: str
    missing: Callable[[], str | None]
    key: str = ""
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

    phase: str
    state: UnitState


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The time is up, and `phase` was not reached: it waits for `missing`."""

    phase: str
    missing: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """K3s runs, and is known never to reach `phase` by itself: it waits for `missing`."""

    phase: str
    missing: str
    seconds: float


Outcome = Ready | Died | OutOfTime | Stuck


class Watched(Protocol):
    """A user manager that watches one unit."""

    def unit(self, name: str) -> UnitState:
        """Give the unit's state."""

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the unit; tell whether there was one."""

    def stuck(self, key: str) -> bool:
        """Return whether K3s is known to keep running without ever reaching the phase of this
        key.
        """


def wait(
    phases: Sequence[Phase],
    manager: Watched,
    state: UnitState,
    *,
    seconds: float,
    clock: Callable[[], float],
    on_reached: Callable[[Phase, float], None],
    restarts: int | None = None,
) -> Outcome:
    """Wait for all phases, in order, for at most `seconds`; `on_reached` hears of each with the
    seconds since the beginning.

    A phase that was not looked at yet gets up to FIRST_LOOK seconds more: without a look, "not
    ready" would be a guess.

    `state` is what the manager said of the unit while it watched it. A unit that was restarted more
    often than `restarts` has died; None takes the count that it has now.
    """
    begun = clock()
    first = state if restarts is None else replace(state, restarts=restarts)
    for phase in phases:
        pause = FIRST_PAUSE
        while True:
            if _over(first, state):
                return Died(phase.name, state)
            if (missing := phase.missing()) is None:
                break
            if manager.stuck(phase.key):
                return Stuck(phase.name, missing, clock() - begun)
            left = begun + seconds - clock()
            if phase.looked is not None and not phase.looked():
                left += FIRST_LOOK
            if left <= 0:
                # A death of which no change was seen yet is no lack of time.
                state = manager.unit(first.name)
                return (
                    Died(phase.name, state)
                    if _over(first, state)
                    else OutOfTime(phase.name, missing, clock() - begun)
                )
            if manager.wait_change(min(pause, left)):
                state = manager.unit(first.name)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        on_reached(phase, clock() - begun)
    # The last answers may be older than a death: look once more before saying yes.
    state = manager.unit(first.name)
    return Died(phases[-1].name, state) if _over(first, state) else Ready(clock() - begun)


def first_missing(phases: Sequence[Phase]) -> tuple[Phase, str] | None:
    """Look once at all phases, in order; give the first that is not reached, and what it waits
    for.
    """
    for phase in phases:
        if (missing := phase.missing()) is not None:
            return phase, missing
    return None


def _over(first: UnitState, state: UnitState) -> bool:
    return (
        state.dead
        or not state.running
        or state.restarts > first.restarts
        or state.invocation != first.invocation
    )
