from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.journal import loops
from k3s_rootless.journal.facts import Entry, Loop

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def restart(seconds: float, counter: int) -> Entry:
    message = f"k3s-rootless.service: Scheduled restart job, restart counter is at {counter}."
    return Entry(NOON + timedelta(seconds=seconds), message)


def entries(*seconds: float) -> list[Entry]:
    return [restart(one, counter) for counter, one in enumerate(seconds, 1)]


@pytest.mark.parametrize(
    ("seconds", "restarts", "expected"),
    [
        ((), 0, None),
        ((), 57, None),
        ((0,), 1, None),
        ((0, 41), 2, Loop(2, 41.0, NOON + timedelta(seconds=41))),
        ((0, 40, 82), 57, Loop(57, 41.0, NOON + timedelta(seconds=82))),
        # The unit was started by hand in between: systemd counts from 0 again, but the journal has
        # the restarts before.
        ((0, 40, 80), 1, Loop(3, 40.0, NOON + timedelta(seconds=80))),
        # The clock was set back, so the time between is unknown.
        ((100, 0), 2, Loop(2, None, NOON)),
        # One night without restarts, and an evening with them: the usual time is reported.
        ((0, 30, 60, 30000, 30030), 5, Loop(5, 30.0, NOON + timedelta(seconds=30030))),
    ],
)
def test_a_loop_has_a_count_and_a_period(
    seconds: tuple[float, ...], restarts: int, expected: Loop | None
) -> None:
    assert expected == loops.of(entries(*seconds), restarts)


def test_a_start_by_hand_between_two_restarts_is_no_part_of_the_period() -> None:
    """Every start by hand was followed by one restart, the last one by a loop."""
    restarts = [restart(0, 1), restart(300, 1), restart(600, 1), restart(602, 2), restart(604, 3)]

    assert Loop(5, 2.0, NOON + timedelta(seconds=604)) == loops.of(restarts, 3)
    assert loops.period(restarts[:3]) is None


def test_entries_without_a_time_are_no_loop() -> None:
    assert loops.of([Entry(None, ""), Entry(None, "")], 9) is None


def test_the_description_of_a_loop() -> None:
    last = f"{NOON.astimezone():%H:%M:%S}"

    assert f"systemd restarted K3s 57 times, about every 41 s, last at {last}" == loops.describe(
        Loop(57, 41.2, NOON)
    )
    assert f"systemd restarted K3s 3 times, about every 10 min, last at {last}" == loops.describe(
        Loop(3, 600, NOON)
    )
    assert f"systemd restarted K3s 2 times, last at {last}" == loops.describe(Loop(2, None, NOON))


@given(st.lists(st.floats(-1e6, 1e6), max_size=20), st.integers(0, 100))
def test_no_clock_makes_a_negative_period(seconds: list[float], restarts: int) -> None:
    found = loops.of(entries(*seconds), restarts)

    assert found is None or found.period is None or found.period > 0
    assert found is None or found.count >= len(seconds)


@pytest.mark.parametrize(
    ("seconds", "period", "past"),
    [(59, None, False), (61, None, True), (61, 30, False), (91, 30, True)],
)
def test_a_loop_is_over_after_a_much_longer_run(
    seconds: float, period: float | None, *, past: bool
) -> None:
    assert past is loops.is_past(seconds, period)
