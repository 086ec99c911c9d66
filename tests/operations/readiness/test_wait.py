from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.operations.readiness.wait import (
    FIRST_CHECK,
    LONGEST_PAUSE,
    Condition,
    Died,
    Outcome,
    OutOfTime,
    Ready,
    Stuck,
    first_missing,
    wait,
)
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState

RUNNING = UnitState(UNIT, "loaded", "active", "running", invocation="one")
ENDS = {
    "failed": replace(RUNNING, active_state="failed", sub_state="failed", result="exit-code"),
    "about to restart": replace(RUNNING, active_state="activating", sub_state="auto-restart"),
    "stopped": replace(RUNNING, active_state="inactive", sub_state="dead"),
    "stopping": replace(RUNNING, active_state="deactivating", sub_state="stop-sigterm"),
    "restarted": replace(RUNNING, restarts=1),
    "started again": replace(RUNNING, invocation="two"),
}


@dataclass
class Unit:
    """Unit that ends at `fails_at`.

    Time passes while a caller waits for a change of the unit, or checks a phase.
    """

    now: float = 0.0
    fails_at: float = float("inf")
    stuck_at: float = float("inf")
    end: UnitState = ENDS["failed"]
    signals: bool = True
    progress: Callable[[float], float] | None = None
    longest: float = 0.0
    reached: list[str] = field(default_factory=list)
    _signalled: bool = False

    def unit(self, name: str) -> UnitState:
        assert name == UNIT
        return self.end if self.now >= self.fails_at else RUNNING

    def wait_change(self, seconds: float) -> bool:
        assert seconds > 0
        self.longest = max(self.longest, seconds)
        if self.signals and not self._signalled and self.fails_at <= self.now + seconds:
            self.now, self._signalled = max(self.now, self.fails_at), True
            return True
        self.now += seconds
        return False

    def stuck(self, key: str) -> bool:
        return self.now >= self.stuck_at and key == "kubeconfig"

    def last_progress(self) -> float | None:
        return self.progress(self.now) if self.progress else None

    def after(self, seconds: float, *, takes: float = 0.0) -> Callable[[], str | None]:
        def missing() -> str | None:
            self.now += takes
            return None if self.now >= seconds else f"not before {seconds}"

        return missing


def followed(unit: Unit, *conditions: Condition, seconds: float = 60) -> Outcome:
    def reached(phase: Phase, after: float) -> None:
        assert after >= 0
        unit.reached.append(phase.name)

    return wait(
        conditions,
        unit,
        unit.unit(UNIT),
        seconds=seconds,
        clock=lambda: unit.now,
        on_reached=reached,
    )


def condition(name: str, missing: Callable[[], str | None]) -> Condition:
    return Condition(Phase(name, name, name), missing)


def three(unit: Unit) -> Iterator[Condition]:
    return (
        condition(name, unit.after(at))
        for name, at in (("socket", 1.0), ("kubeconfig", 2.0), ("node", 3.0))
    )


def unchecked(unit: Unit, name: str, takes: float) -> Condition:
    """Return a phase that a thread checks.

    The first look takes this many seconds, and finds the phase reached.
    """

    def checked() -> bool:
        return unit.now >= takes

    return Condition(
        Phase(name, name, name), lambda: None if checked() else "not checked yet", checked=checked
    )


def test_each_phase_is_checked_once_without_any_time() -> None:
    unit = Unit()

    assert isinstance(
        followed(unit, unchecked(unit, "api", 0.2), unchecked(unit, "node", 0.4), seconds=0), Ready
    )
    assert ["api", "node"] == unit.reached


def test_the_wait_for_a_first_check_that_hangs_is_limited() -> None:
    unit = Unit()
    outcome = followed(unit, unchecked(unit, "api", 60), seconds=0)

    assert isinstance(outcome, OutOfTime)
    assert FIRST_CHECK <= unit.now <= FIRST_CHECK + LONGEST_PAUSE


def test_a_phase_missing_in_its_first_check_ends_a_wait_without_time() -> None:
    unit = Unit()
    missing = Condition(
        Phase("node", "node", "node"), lambda: "not registered", checked=lambda: unit.now > 0
    )

    assert isinstance(outcome := followed(unit, missing, seconds=0), OutOfTime)
    assert ("not registered", True) == (outcome.missing, unit.now < FIRST_CHECK)


def test_phases_are_reached_in_order() -> None:
    unit = Unit()

    outcome = followed(unit, *three(unit))

    assert isinstance(outcome, Ready)
    assert 3.0 <= outcome.seconds <= 3.0 + LONGEST_PAUSE
    assert unit.reached == ["socket", "kubeconfig", "node"]


def test_phases_that_are_already_reached_need_no_wait() -> None:
    unit = Unit()

    assert followed(unit, condition("socket", lambda: None)) == Ready(0.0)
    assert unit.longest == 0.0


def test_no_pause_exceeds_its_limit() -> None:
    unit = Unit()
    followed(unit, *three(unit))

    assert unit.longest == LONGEST_PAUSE


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(
    ("fails_at", "phase"), [(0.5, "socket"), (1.5, "kubeconfig"), (2.5, "node")]
)
def test_a_failed_start_is_reported_with_its_phase(
    fails_at: float, phase: str, end: UnitState
) -> None:
    unit = Unit(fails_at=fails_at, end=end)

    assert followed(unit, *three(unit)) == Died(Phase(phase, phase, phase), end)
    assert unit.now == fails_at


def test_a_failure_before_the_wait_is_reported_at_once() -> None:
    unit = Unit(fails_at=0.0)

    assert followed(unit, *three(unit)) == Died(Phase("socket", "socket", "socket"), ENDS["failed"])
    assert unit.now == 0.0


def test_a_failure_after_the_last_phase_is_not_ready() -> None:
    unit = Unit(fails_at=5.0)

    assert followed(unit, condition("node", unit.after(0, takes=6))) == Died(
        Phase("node", "node", "node"), ENDS["failed"]
    )


def test_a_stuck_start_ends_the_wait_in_its_current_phase() -> None:
    unit = Unit(stuck_at=0.0)

    outcome = followed(unit, *three(unit))

    assert isinstance(outcome, Stuck)
    assert ("kubeconfig", "not before 2.0", ["socket"]) == (
        outcome.phase.key,
        outcome.missing,
        unit.reached,
    )


def test_a_failure_takes_precedence_over_a_stuck_start() -> None:
    unit = Unit(fails_at=1.5, stuck_at=1.5)

    assert Died(Phase("kubeconfig", "kubeconfig", "kubeconfig"), ENDS["failed"]) == followed(
        unit, *three(unit)
    )


def test_a_timeout_is_reported_with_what_is_missing() -> None:
    unit = Unit()

    outcome = followed(unit, *three(unit), seconds=1.5)

    assert outcome == OutOfTime(
        Phase("kubeconfig", "kubeconfig", "kubeconfig"), "not before 2.0", 1.5
    )


def test_a_failure_during_the_last_query_is_not_reported_as_a_timeout() -> None:
    unit = Unit(fails_at=1.0)

    assert followed(unit, condition("node", unit.after(9, takes=5)), seconds=3) == Died(
        Phase("node", "node", "node"), ENDS["failed"]
    )


@given(
    st.floats(0, 10),
    st.lists(st.floats(0, 5), min_size=1, max_size=5),
    st.floats(0.1, 10),
    st.booleans(),
)
def test_a_failed_start_is_never_reported_as_ready(
    fails_at: float,
    phases: list[float],
    seconds: float,
    signals: bool,  # noqa: FBT001
) -> None:
    unit = Unit(fails_at=fails_at, signals=signals)

    outcome = followed(
        unit, *(condition(str(at), unit.after(at)) for at in phases), seconds=seconds
    )

    if unit.now >= fails_at:
        assert isinstance(outcome, Died)
    assert unit.now <= seconds + LONGEST_PAUSE or isinstance(outcome, Ready | Died)


def test_the_first_missing_phase_is_returned() -> None:
    phases = [
        condition("socket", lambda: None),
        condition("node", lambda: "none registered"),
        condition("more", lambda: "never checked"),
    ]

    assert (phases[1].phase, "none registered") == first_missing(phases)
    assert first_missing(phases[:1]) is None


def test_progress_extends_the_time_limit() -> None:
    """The start takes far longer than the limit, but logs lines of new kinds all the time."""
    slow = Unit(progress=lambda now: min(now, 300.0))
    conditions = (condition("socket", slow.after(1)), condition("node", slow.after(290)))

    assert isinstance(followed(slow, *conditions, seconds=10), Ready)


def test_a_start_without_progress_is_out_of_time() -> None:
    stalled = Unit(progress=lambda now: min(now, 20.0))
    conditions = (condition("socket", stalled.after(5)), condition("node", stalled.after(290)))

    late = followed(stalled, *conditions, seconds=10)

    assert isinstance(late, OutOfTime)
    assert 30 <= late.seconds <= 30 + FIRST_CHECK + LONGEST_PAUSE


def test_a_phase_is_progress() -> None:
    steps = Unit(progress=lambda _: 0.0)
    conditions = [condition(str(at), steps.after(at)) for at in (8, 16, 24, 32)]

    assert isinstance(followed(steps, *conditions, seconds=10), Ready)
