"""Tests whether a node's report is of this start, with a running, a changed and a stopped clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.cluster import heartbeat
from k3s_rootless.cluster.facts import Node
from k3s_rootless.cluster.heartbeat import EARLIER, UNDECIDED, Running

START = datetime(2026, 11, 27, 7, 3, 37, 300_000, UTC)
NODE = Node("pi", ready=True, version="v1.36.3+k3s1")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def report(when: datetime) -> Node:
    """Return a node that is ready by a report of this time, in whole seconds."""
    return replace(NODE, reported=when.replace(microsecond=0))


def running(elapsed: float | None, step: float = 0) -> Running:
    """Return a start that has run for `elapsed` seconds.

    Meanwhile the clock was set forward by `step` seconds.
    """
    passed = None if elapsed is None else seconds(elapsed)
    return Running(
        START, START + seconds(60 if elapsed is None else elapsed) + seconds(step), passed
    )


def reason(node: Node, start: Running | None, first: datetime | None = None) -> str | None:
    """Return why the node is not known to be ready; None if it is ready."""
    (found,) = heartbeat.judged([node], start, {"pi": first} if first else {})
    assert found.ready is (None if found.reason else True)
    return found.reason or None


DECADE = 10 * 365 * 86400


@pytest.mark.parametrize(
    ("at", "elapsed", "step", "expected"),
    [
        (0, 1, 0, None),
        (20, 60, 0, None),
        (-1, 60, 0, EARLIER),
        (-300, 60, 0, EARLIER),
        (-1, 3600, 0, EARLIER),
        (DECADE, 60, 0, EARLIER),
        (20, None, 0, None),
        (-5, None, 0, EARLIER),
        # A Raspberry Pi: its clock starts at the last shutdown, and is set forward while K3s runs.
        (20, 60, DECADE, None),
        (20 + DECADE, 60, DECADE, None),
        (-7200 + DECADE, 60, DECADE, UNDECIDED),
        (-5, 60, DECADE, UNDECIDED),
        (-7200 + DECADE, 301, DECADE, None),
        # The clock was ahead, and is set back while K3s runs.
        (20, 60, -DECADE, None),
        (20 - DECADE, 60, -DECADE, None),
        (-300, 60, -DECADE, UNDECIDED),
        (20, 400, 60, None),
        (390, 400, -60, None),
    ],
)
def test_a_report_is_accepted_if_the_current_start_can_have_made_it(
    at: float, elapsed: float | None, step: float, expected: str | None
) -> None:
    assert expected == reason(report(START + seconds(at)), running(elapsed, step))


@given(
    after=st.floats(3, 86400),
    rest=st.floats(0, 86400),
    step=st.integers(-2 * DECADE, 2 * DECADE),
    late=st.booleans(),
)
def test_a_report_of_the_current_start_is_accepted_after_any_change_of_the_clock(
    *, after: float, rest: float, step: int, late: bool
) -> None:
    """The kubelet reports after some seconds, before or after the clock is set.

    The check follows `rest` seconds later. A clock that is set by a second cannot be distinguished
    from one that is read late, and no K3s is ready in three seconds.
    """
    stamp = START + seconds(after + (step if late else 0))

    assert reason(report(stamp), running(after + rest, step)) is None


@given(before=st.floats(1.3, DECADE), elapsed=st.floats(0, 86400))
def test_a_report_of_an_earlier_start_is_never_accepted_with_a_steady_clock(
    before: float, elapsed: float
) -> None:
    assert EARLIER == reason(report(START - seconds(before)), running(elapsed))


@given(
    at=st.integers(-DECADE, DECADE),
    step=st.integers(-DECADE, DECADE),
    elapsed=st.none() | st.floats(0, 86400),
)
def test_a_report_that_changed_during_the_start_is_accepted(
    at: int, step: int, elapsed: float | None
) -> None:
    node = report(START + seconds(at))
    assert node.reported is not None

    assert reason(node, running(elapsed, step), first=node.reported - seconds(10)) is None


@pytest.mark.parametrize("ready", [False, None])
def test_a_node_that_is_not_ready_keeps_its_reason(
    ready: bool | None,  # noqa: FBT001 (three values)
) -> None:
    node = replace(report(START - seconds(300)), ready=ready, reason="cni plugin not initialized")

    assert (node,) == heartbeat.judged([node], running(60), {})


def test_a_report_without_a_time_is_accepted() -> None:
    assert reason(NODE, running(60)) is None
    assert reason(report(START - seconds(300)), None) is None
