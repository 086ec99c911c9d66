"""What is different between two states, and a table that is drawn in its place on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.cli.display import ports_changes
from k3s_rootless.finding import Verdict
from k3s_rootless.ports.facts import Exposure, Kind, PortMap, Status
from tests.fakes.session import PROJECT

ROW = Exposure(
    "tcp",
    "",
    10080,
    80,
    Kind.SERVICE_PORT,
    Status.ANSWERING,
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
    status=st.sampled_from([Status.ANSWERING, Status.SILENT]),
    listens_on=st.sampled_from([(), ("::",)]),
)
MAPS = st.lists(ROWS, max_size=6).map(lambda rows: PortMap(tuple(rows), 0, ()))


@given(MAPS, MAPS)
def test_the_changes_lead_from_one_state_to_the_next(before: PortMap, now: PortMap) -> None:
    state, wanted = ports_changes.rows_of(before), ports_changes.rows_of(now)
    keys = {row: key for each in (state, wanted) for key, row in each.items()}

    changes = ports_changes.compared(state, wanted)

    for one in changes:
        key = keys[one.row]
        if one.mark == "-":
            assert one.row == state.pop(key)
        else:
            assert ("~" if key in state else "+") == one.mark
            assert state.get(key) != one.row
            state[key] = one.row
    assert wanted == state


def test_a_change_that_no_line_shows_is_no_news_for_people() -> None:
    before = ports_changes.rows_of(PortMap((ROW,), 0, ()))
    for row, shows in (
        (replace(ROW, listens_on=("::",)), False),
        (replace(ROW, status=Status.SILENT, reason="gone"), True),
    ):
        (change,) = ports_changes.compared(before, ports_changes.rows_of(PortMap((row,), 0, ())))
        assert shows is change.shows


DRAWN = """
from k3s_rootless.cli.display.report import Report
report = Report()
assert report.on_terminal()
with report.screen() as screen:
    for mark in " +":
        rows = [(mark if number == 700 else " ", f"evil\\x1b[2J{number}") for number in range(1000)]
        screen.draw(("", "HOST"), rows, ["a note \\x1b]0;owned\\x07"])
"""


def test_a_table_that_does_not_fit_shows_what_changed_and_counts_the_rest() -> None:
    reader, writer = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "20", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", DRAWN], cwd=PROJECT, env=environ, stdout=writer
    ) as process:
        os.close(writer)
        drawn = b""
        try:
            while part := os.read(reader, 65536):
                drawn += part
        except OSError:
            pass  # the other side of the terminal was closed
        assert 0 == process.wait()
    os.close(reader)
    first, _, second = drawn.decode().rpartition("\x1b[2K")

    assert "evil\ufffd[2J0" in first
    assert "700" not in first.partition("HOST")[2].partition("a note")[0]
    assert "+   evil\ufffd[2J700" in second.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "and 987 more; see: k3s-rootless ports" in second
    assert len(second.splitlines()) <= 20
    assert "\x1b[2J" not in drawn.decode()
    assert "\x1b]0" not in drawn.decode()
    assert drawn.rindex(b"\x1b[?25h") > drawn.find(b"\x1b[?25l")
