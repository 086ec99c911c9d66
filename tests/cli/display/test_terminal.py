"""Tests of a place on the terminal that is redrawn: what fits, and in which order."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.live import Live

from k3s_rootless.cli.display.terminal import Screen

HEAD = ("", "HOST", "REACHES")
ROWS = tuple((" ", f"*:{10080 + number}", f"default/web-{number}") for number in range(6))
Lines = list[str]


def screen(show: Callable[[Screen], None], width: int = 60, height: int = 40) -> Lines:
    """Return the last content of a place on a terminal of this size."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height)
    with Live(console=console, auto_refresh=False) as live:
        show(Screen(console, live))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_has_news_and_notes_below() -> None:
    def draw(drawn: Screen) -> None:
        drawn.draw(HEAD, [("+", *ROWS[0][1:]), ROWS[1]], ["a note"], news=["new: *:10080"])

    assert [
        "    HOST      REACHES",
        "+   *:10080   default/web-0",
        "    *:10081   default/web-1",
        "",
        "new: *:10080",
        "a note",
    ] == screen(draw)


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (12, []),
        (11, ["and 1 more row; list all with: k3s-rootless ports"]),
        (10, ["and 2 more rows; list all with: k3s-rootless ports"]),
        (1, ["and 5 more rows; list all with: k3s-rootless ports"]),
    ],
)
def test_rows_that_do_not_fit_are_counted(height: int, expected: Lines) -> None:
    lines = screen(lambda drawn: drawn.draw(HEAD, ROWS, []), height=height)

    left = sum(int(line.split()[1]) for line in expected)
    assert [*(row[2] for row in ROWS[: 6 - left]), *expected] == [
        line.split()[-1] if "default" in line else line for line in lines[1:] if line
    ]


def test_rows_with_a_mark_come_first_if_not_all_fit() -> None:
    marked = [*ROWS[:4], ("-", *ROWS[4][1:]), ("~", *ROWS[5][1:])]

    lines = screen(lambda drawn: drawn.draw(HEAD, marked, []), height=9)

    assert ["-   *:10084", "~   *:10085", "    *:10080"] == [line[:11] for line in lines[1:4]]


def test_rows_are_stacked_on_a_narrow_terminal() -> None:
    rows = [("+", "*:10080", "default/service-with-a-name"), ROWS[1]]

    lines = screen(lambda drawn: drawn.draw(HEAD, rows, []), width=40)

    assert [
        "+ HOST       *:10080",
        "    REACHES  default/service-with-a-name",
        "  HOST       *:10081",
        "    REACHES  default/web-1",
    ] == lines[:4]


def test_news_take_at_most_a_third_of_the_lines() -> None:
    news = [f"change {number}" for number in range(9)]

    lines = screen(lambda drawn: drawn.draw(HEAD, ROWS[:1], [], news=news), height=12)

    assert news[5:] == [line for line in lines if "change" in line]


def test_lines_are_wrapped_and_safe_to_print() -> None:
    def show(drawn: Screen) -> None:
        drawn.show(["old"], 0)
        drawn.show(["unit  \x1b[2Jactive (running), enabled", "linger  on"], 6)

    assert [
        "unit  \ufffd[2Jactive (running),",
        "      enabled",
        "linger  on",
    ] == screen(show, width=32)


def test_the_size_is_that_of_the_terminal() -> None:
    sizes: list[tuple[int, int]] = []

    screen(lambda drawn: sizes.append(drawn.size), width=72, height=20)

    assert [(72, 20)] == sizes
