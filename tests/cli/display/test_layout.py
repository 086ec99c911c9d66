"""Tests of text and tables on a terminal.

Text that users copy is never cut, and lines break between words.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.cli.display import layout

WORDS = st.lists(st.text("abc:/-.1한", min_size=1, max_size=30), min_size=1, max_size=20)
CELLS = st.text("abc:/.1", max_size=25)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5)


@given(WORDS, st.integers(0, 6), st.integers(30, 120), st.none() | st.integers(0, 20))
def test_words_are_not_broken_or_reordered(
    words: list[str], indent: int, room: int, hang: int | None
) -> None:
    text = " " * indent + " ".join(words)

    lines = layout.wrapped(text, room, hang).split("\n")

    assert words == " ".join(lines).split()
    assert all(layout.width(line) <= room or len(line.split()) == 1 for line in lines)
    assert len(lines) == 1 or layout.width(text) > room


@given(ROWS, st.integers(20, 120))
def test_a_stacked_row_shows_each_cell_next_to_its_label(
    rows: list[tuple[str, ...]], room: int
) -> None:
    head = ("HOST", "REACHES", "URL")
    stacked = layout.cards(head, rows, room)

    for row, card in zip(rows, stacked, strict=True):
        flat = re.sub("\x1b\\[[0-9;]*m", "", " ".join(card)).split()
        shown = [
            (name, cell) for name, cell in zip(head, row, strict=True) if cell or name == "HOST"
        ]
        assert flat == [word for name, cell in shown for word in (name, cell) if word]


@given(ROWS, st.integers(1, 120))
def test_a_table_that_fits_is_no_wider_than_the_terminal(
    rows: list[tuple[str, ...]], room: int
) -> None:
    whole = ("HOST", "REACHES", "URL")
    fitted = layout.fitted(whole, rows, room, ("HOST",), "REACHES")

    if fitted is None:
        words = max(len(word) for row in (whole, *rows) for word in row[1].split() or [""])
        assert max(words, 20) + max(len(row[2]) for row in (whole, *rows)) + layout.BETWEEN > room
        return
    head, shown = fitted
    columns = zip(head, *shown, strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    assert sum(widths) + layout.BETWEEN * (len(widths) - 1) <= room
    assert ["REACHES", "URL"] == [name for name in head if name != "HOST"]
    assert [row[1:] for row in rows] == [
        tuple(cell.replace("\n", " ") for cell in row[-2:]) for row in shown
    ]


UNIT = "unit         active (running), enabled"


@pytest.mark.parametrize(
    ("text", "room", "hang", "expected"),
    [
        (UNIT, 80, 13, [UNIT]),
        (f"{UNIT}, since 5 min", 40, 13, [f"{UNIT},", "             since 5 min"]),
        # Too little space next to the label.
        (
            "  from here  192.0.2.7:10080 (eth0)",
            34,
            13,
            ["  from here", "    192.0.2.7:10080 (eth0)"],
        ),
        ("  $ sudo nft add table inet k3s", 20, None, ["  $ sudo nft add table inet k3s"]),
        (
            "hint: start it: k3s-rootless up --force",
            30,
            None,
            ["hint: start it:", "  k3s-rootless up --force"],
        ),
        (
            "see `k3s-rootless status` for it",
            24,
            None,
            ["see", "  `k3s-rootless status`", "  for it"],
        ),
        (
            "\x1b[31merror\x1b[0m: one two three",
            16,
            None,
            ["\x1b[31merror\x1b[0m: one two", "  three"],
        ),
        ("took 1.7 s, in 20 MiB of", 18, None, ["took 1.7 s, in", "  20 MiB of"]),
        ("a\n  b c d", 5, None, ["a", "  b c", "    d"]),
    ],
    ids=["short", "label", "narrow", "command", "hint", "quoted", "colour", "unit", "lines"],
)
def test_where_a_line_breaks(text: str, room: int, hang: int | None, expected: list[str]) -> None:
    assert expected == layout.wrapped(text, room, hang).split("\n")
