"""Tests of a table that is drawn again in place on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.fakes.session import PROJECT

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
    assert "and 987 more rows; list all with: k3s-rootless ports" in second
    assert len(second.splitlines()) <= 20
    assert "\x1b[2J" not in drawn.decode()
    assert "\x1b]0" not in drawn.decode()
    assert drawn.rindex(b"\x1b[?25h") > drawn.find(b"\x1b[?25l")
