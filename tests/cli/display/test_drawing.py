"""Tests of the phases of a start that are drawn on a terminal."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from k3s_rootless.cli.display.drawing import Drawing
from k3s_rootless.operations.launch.events import PhaseReached, Waiting
from k3s_rootless.operations.readiness import phases
from tests.patience import PATIENCE

WAIT = Waiting(
    (phases.UNIT, phases.NAMESPACE, phases.SOCKET),
    lambda: (phases.NAMESPACE, "no child\x1b[2J process"),
)
REACHED = PhaseReached(phases.UNIT, 0.25, 0.25)
ESCAPE = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
CURRENT = re.compile(
    r"   0\.2 s  unit active      0\.2 s *\n"
    r" *[-\\|/] \d+\.\d s  child namespace  no child\ufffd\[2J process *\n"
    r" +API socket *\r"
)
Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """Everything that was drawn, without escape sequences."""
        return ESCAPE.sub("", self.getvalue())


def test_the_current_phase_has_its_time_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)

    drawing = Drawing(WAIT)
    drawing.reached(REACHED)
    deadline = time.monotonic() + PATIENCE
    while not CURRENT.search(terminal.text) and time.monotonic() < deadline:
        time.sleep(0.01)
    drawing.end()

    assert CURRENT.search(terminal.text)


def test_the_last_drawing_has_the_times_of_the_reached_phases(capsys: Captured) -> None:
    drawing = Drawing(WAIT)
    drawing.reached(REACHED)
    drawing.reached(PhaseReached(phases.NAMESPACE, 12.5, 12.25))

    drawing.end()
    drawing.end()

    assert [
        "   0.2 s  unit active      0.2 s",
        "  12.5 s  child namespace  12.2 s",
        "          API socket",
    ] == [line.rstrip() for line in capsys.readouterr().err.splitlines()]
