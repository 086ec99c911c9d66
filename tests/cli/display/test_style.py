"""Tests that colours and redrawing follow the terminal, NO_COLOR and TERM."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from k3s_rootless.cli.display import style


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
    os.close(ours)


@pytest.mark.parametrize(
    ("variables", "coloured", "redrawn"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "unknown"}, True, False),
        ({}, True, False),
    ],
    ids=["usual", "empty NO_COLOR", "NO_COLOR", "dumb", "unknown", "no TERM"],
)
def test_colours_and_redrawing_depend_on_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    terminal: TextIO,
    variables: dict[str, str],
    *,
    coloured: bool,
    redrawn: bool,
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert coloured == style.is_coloured(terminal)
    assert redrawn == style.can_redraw(terminal)
    assert ("\x1b[31mx\x1b[0m" if coloured else "x") == style.styled("x", fg="red")


def test_a_pipe_gets_neither_colours_nor_redrawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    assert not style.is_coloured(io.StringIO())
    assert not style.can_redraw(io.StringIO())


def test_the_console_does_not_change_text(capsys: pytest.CaptureFixture[str]) -> None:
    style.console(40, stderr=True).print("[bold]:smile: 1.5")

    assert ("", "[bold]:smile: 1.5\n") == capsys.readouterr()
