"""Tests of the differences between two checks, and of the rows that a table marks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.cli.display import ports
from k3s_rootless.finding import Verdict
from k3s_rootless.operations.ports import changes
from k3s_rootless.operations.ports.changes import Marks, What
from k3s_rootless.ports.facts import Exposure, Kind, Status

ROW = Exposure(
    "tcp",
    "",
    10080,
    80,
    Kind.SERVICE_PORT,
    Status.LISTENING,
    Verdict.PASS,
    "",
    "default",
    "web",
    forwarded=True,
)
ROWS = st.builds(
    replace,
    st.just(ROW),
    parent_port=st.integers(1, 6),
    status=st.sampled_from([Status.LISTENING, Status.UNREACHABLE]),
    listens_on=st.sampled_from([(), ("::",)]),
)
MAPS = st.lists(ROWS, max_size=6).map(tuple)
Rows = tuple[Exposure, ...]


@given(MAPS, MAPS)
def test_the_changes_lead_from_one_state_to_the_next(before: Rows, now: Rows) -> None:
    state, expected = changes.by_key(before), changes.by_key(now)

    found = changes.compared(state, expected)

    for one in found:
        key = changes.key_of(one.row)
        if one.what is What.REMOVED:
            assert one.row == state.pop(key)
        else:
            assert (What.CHANGED if key in state else What.ADDED) is one.what
            assert state.get(key) != one.row
            state[key] = one.row
    assert expected == state


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (replace(ROW, listens_on=("::",)), False),
        (replace(ROW, conflicts_with=("default/other:80",)), False),
        (replace(ROW, status=Status.UNREACHABLE, reason="gone"), True),
        (replace(ROW, reason="another"), True),
        (replace(ROW, url="https://localhost:10080"), True),
        (replace(ROW, forwarded=False), True),
    ],
)
def test_a_change_is_visible_if_the_line_of_the_row_differs(
    row: Exposure, *, expected: bool
) -> None:
    (change,) = changes.compared(changes.by_key((ROW,)), changes.by_key((row,)))

    assert expected is change.is_visible


@given(ROWS, ROWS)
def test_a_change_is_visible_exactly_if_its_line_is_another(
    before: Exposure, now: Exposure
) -> None:
    """The renderer prints only what `is_visible` compares."""
    for change in changes.compared(changes.by_key((before,)), changes.by_key((now,))):
        if change.before is not None:
            assert (ports.cells(change.before) != ports.cells(change.row)) is change.is_visible


GONE = replace(ROW, parent_port=10081, child_port=81, target="default/gone:81")


def test_a_table_marks_a_change_for_a_while_and_keeps_a_removed_row_as_long() -> None:
    marks = Marks()
    before, now = changes.by_key((ROW, GONE)), changes.by_key((replace(ROW, reason="another"),))

    marks.add(changes.compared(before, now), 100.0)
    marked = marks.table(tuple(now.values()))
    expired = [marks.expire(seconds) for seconds in (104.9, 105.0, 105.1)]

    assert ((What.CHANGED, now[changes.key_of(ROW)]), (What.REMOVED, GONE)) == marked
    assert [False, True, False] == expired
    assert ((None, now[changes.key_of(ROW)]),) == marks.table(tuple(now.values()))


def test_a_row_that_returns_is_marked_as_added() -> None:
    marks = Marks()
    there, empty = changes.by_key((GONE,)), changes.by_key(())

    marks.add(changes.compared(there, empty), 100.0)
    marks.add(changes.compared(empty, there), 101.0)

    assert ((What.ADDED, GONE),) == marks.table((GONE,))


def test_a_change_that_no_line_shows_is_not_marked() -> None:
    marks = Marks()
    now = changes.by_key((replace(ROW, listens_on=("::",)),))

    marks.add(changes.compared(changes.by_key((ROW,)), now), 100.0)

    assert [None] == [what for what, _ in marks.table(tuple(now.values()))]
