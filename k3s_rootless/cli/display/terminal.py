"""A place on a terminal that is redrawn as its content changes, for watch modes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from k3s_rootless.cli.display import layout
from k3s_rootless.cli.display.style import STYLES
from k3s_rootless.printable import printable_lines as safe

if TYPE_CHECKING:
    from rich.live import Live

_MARKS = {"+": "bold green", "~": "bold yellow", "-": "dim strike"}
_FRAME = 6
"""Lines of the terminal that are neither rows nor notes."""
_MOST_NEWS = 3
"""News may take one part in this many of the terminal's lines."""


class Screen:
    """A place on the terminal in which new content replaces the previous content."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    @property
    def size(self) -> tuple[int, int]:
        """The current number of columns and lines of the terminal."""
        return self._console.size

    def show(self, lines: Iterable[str], hang: int) -> None:
        """Replace the content by these lines; `hang` is as for `layout.wrapped`."""
        broken = [layout.wrapped(safe(line), self._console.width, hang) for line in lines]
        self._live.update(_whole("\n".join(broken)), refresh=True)

    def draw(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        notes: Sequence[str],
        *,
        news: Sequence[str] = (),
        spare: Sequence[str] = (),
        prose: str | None = None,
    ) -> None:
        """Draw a table, and below it the latest of `news` and all notes.

        The first cell of a row marks a change: `+`, `-`, `~`, or a blank. Rows are stacked if the
        terminal is too narrow for a table (`spare` and `prose` are as for `layout.fitted`). If
        there are too many rows, rows with a mark come first, and the other rows are counted.
        """
        columns, height = self._console.size
        safe_rows = [tuple(map(safe, row)) for row in rows]
        notes = [
            layout.wrapped(safe(note), columns)
            for note in (*_latest(news, columns, height), *notes)
        ]
        fitted = layout.fitted(head, safe_rows, columns, spare, prose)
        cards = [] if fitted else _marked_cards(head, safe_rows, columns)
        sizes = (
            [max(map(_height, row)) for row in fitted[1]] if fitted else list(map(_height, cards))
        )
        fitting = _fitting(
            sizes, [row[0] for row in rows], height - sum(map(_height, notes)) - _FRAME
        )
        if fitted:
            drawn = _table(fitted[0], [fitted[1][at] for at in fitting])
        else:
            drawn = Group(*(_whole(cards[at], _MARKS.get(rows[at][0], "")) for at in fitting))
        left = len(rows) - len(fitting)
        # The cursor stays on a separate line below.
        below = [*_more(left), "", *notes, ""]
        self._live.update(Group(drawn, *(_whole(line, "dim") for line in below)), refresh=True)


def _latest(news: Sequence[str], columns: int, height: int) -> Sequence[str]:
    wrapped = [layout.wrapped(safe(line), columns) for line in news]
    first = next(
        (at for at in range(len(news)) if sum(map(_height, wrapped[at:])) <= height // _MOST_NEWS),
        len(news),
    )
    return news[first:]


def _more(left: int) -> Iterator[str]:
    if left:
        rows = "row" if left == 1 else "rows"
        yield f"and {left} more {rows}; list all with: k3s-rootless ports"


def _marked_cards(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    marks = [row[0] for row in rows]
    cards = layout.cards(head[1:], [row[1:] for row in rows], columns - 2)
    return [f"{mark:<2}" + "\n  ".join(card) for mark, card in zip(marks, cards, strict=True)]


def _fitting(sizes: Sequence[int], marks: Sequence[str], room: int) -> list[int]:
    """Select the rows that fit into `room` lines, at least one.

    If not all rows fit, rows with a mark come first.
    """
    numbers = list(range(len(sizes)))
    if sum(sizes) > room:
        numbers.sort(key=lambda at: marks[at] == " ")
    taken: list[int] = []
    for at in numbers:
        room -= sizes[at]
        if room < 0 and taken:
            break
        taken.append(at)
    return taken


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table | Group:
    table = Table(
        *head, box=None, pad_edge=False, padding=(0, layout.BETWEEN, 0, 0), header_style="bold"
    )
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        style = _MARKS.get(row[0], "")
        table.add_row(*(Text(cell, style=STYLES.get(cell, style)) for cell in row))
    return table


def _height(text: str) -> int:
    return text.count("\n") + 1


def _whole(text: str, style: str = "") -> Text:
    # Only a single word can be wider than the terminal, which would break it as well.
    return Text.from_ansi(text, style=style, no_wrap=False, overflow="fold")
