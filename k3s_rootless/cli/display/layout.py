"""Fit text to the width of a terminal: wrap lines, and stack the rows of wide tables.

Lines break between words. Text that users copy is never broken: a port, a URL, a path, a command.
If such a text is wider than the terminal, the terminal itself breaks it, and copies it as one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from k3s_rootless.cli.display.style import STYLES, styled

Row = Sequence[str]
BETWEEN = 3
"""Columns between two columns of a table."""
_FALLBACK = 80
_LEAST = 24
"""Columns that text needs beside its label; with fewer, the text goes below the label."""
_LEAST_PROSE = 20
_BELOW = 4
_ESCAPE = re.compile("\x1b\\[[0-9;]*m")
_PROGRAMS = "k3s-rootless|systemctl|journalctl|loginctl|machinectl|kubectl|sudo|export|getent|ssh"
_COMMAND = f"(?:{_PROGRAMS}|ls|rm) "
_UNIT = r"(?:s|ms|min|h|d|[KMG]iB|%)(?![\w/])"
_WORD = re.compile(rf"`[^`]+`[^\s`]*|(?<=: ){_COMMAND}.+|[\d.]+ {_UNIT}\S*|\S+")
"""A word, a quoted command, a command at the end of its line, or a number with its unit."""


def columns(stream: IO[str]) -> int:
    """Return the width of a stream's terminal; COLUMNS overrides it, as for rich."""
    if (text := os.environ.get("COLUMNS", "")).isdecimal() and int(text):
        return int(text)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _FALLBACK
    except (OSError, ValueError):
        return _FALLBACK


def width(text: str) -> int:
    """Return the number of terminal columns that a text needs."""
    plain = _ESCAPE.sub("", text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in plain)


def wrapped(text: str, room: int, hang: int | None = None) -> str:
    """Break lines that are wider than `room` columns between words.

    Continuation lines are indented by two more columns than their line. If a label is before the
    column `hang`, they start at that column, or, if that leaves too little room, the whole text
    goes below the label. With a `hang` of 0, nothing is indented. Shell commands (`$ …`) are not
    broken.
    """
    return "\n".join(part for line in text.split("\n") for part in _broken(line, room, hang))


def _broken(line: str, room: int, hang: int | None) -> Iterator[str]:
    plain = _ESCAPE.sub("", line)
    if width(line) <= room or plain.lstrip().startswith("$ "):
        yield line
        return
    indent = len(plain) - len(plain.lstrip()) + 2 if hang != 0 else 0
    if hang and plain[hang - 1 : hang] == " ":
        indent = hang
        if room - hang < _LEAST and plain == line:
            if label := line[:hang].rstrip():
                yield label
            line, indent = " " * _BELOW + line[hang:].lstrip(), _BELOW
    taken, end = "", 0
    for word in _WORD.finditer(line):
        gap = line[end : word.start()]
        end = word.end()
        if taken.strip() and width(taken) + width(gap + word[0]) > room:
            yield taken
            taken, gap = " " * indent, ""
        taken += gap + word[0]
    yield taken


def plain(head: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Format a table as wide as its content."""
    widths = _widths(head, rows)
    for line in (head, ["\u2500" * each for each in widths], *rows):
        cells = (cell + " " * (each - width(cell)) for cell, each in zip(line, widths, strict=True))
        yield (" " * BETWEEN).join(cells).rstrip()


def fitted(
    head: Sequence[str],
    rows: Sequence[Row],
    room: int,
    spare: Sequence[str] = (),
    prose: str | None = None,
) -> tuple[list[str], list[Row]] | None:
    """Format a table at most `room` columns wide; return None if that is impossible.

    The columns in `spare` are left out, in this order, as far as needed; the column `prose` is
    broken between words.
    """
    widths = _widths(head, rows)
    least = [
        min(each, _least(rows, at)) if head[at] == prose else each for at, each in enumerate(widths)
    ]
    shown = list(range(len(head)))
    for name in spare:
        if _total(least[at] for at in shown) <= room:
            break
        shown = [at for at in shown if head[at] != name]
    left = room - _total(least[at] for at in shown)
    if left < 0:
        return None
    return [head[at] for at in shown], [
        tuple(
            wrapped(row[at], least[at] + left, 0) if head[at] == prose else row[at] for at in shown
        )
        for row in rows
    ]


def cards(head: Sequence[str], rows: Sequence[Row], room: int) -> list[list[str]]:
    """Stack each row: a line for its first cell, and an indented line for each further cell.

    Empty cells are left out.
    """
    labels = [head[0], *(f"  {name}" for name in head[1:])]
    longest = max(map(len, labels))
    stacked = []
    for row in rows:
        card = []
        for number, (label, cell) in enumerate(zip(labels, row, strict=True)):
            text = wrapped(f"{label:<{longest}}  {cell}", room, longest + 2)
            card += _lines(text, cell, bold=number == 0) if cell or number == 0 else []
        stacked.append(card)
    return stacked


def _lines(text: str, cell: str, *, bold: bool) -> list[str]:
    if bold:
        return [styled(line, bold=True) for line in text.split("\n")]
    colour = STYLES.get(cell)
    return (text.replace(cell, styled(cell, fg=colour)) if colour else text).split("\n")


def _widths(head: Sequence[str], rows: Sequence[Row]) -> list[int]:
    return [max(map(width, column)) for column in zip(head, *rows, strict=True)]


def _least(rows: Sequence[Row], at: int) -> int:
    return max([_LEAST_PROSE, *(width(word) for row in rows for word in row[at].split())])


def _total(widths: Iterable[int]) -> int:
    each = list(widths)
    return sum(each) + BETWEEN * (len(each) - 1)
