"""A place on a terminal that is drawn anew: for what is watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from k3s_rootless.cli.style import STYLES, safe

if TYPE_CHECKING:
    from rich.live import Live

_MARKS = {"+": "bold green", "~": "bold yellow", "-": "dim strike"}


class Screen:
    """A place on the terminal; whatever is shown there stands for what was shown before."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    @property
    def size(self) -> tuple[int, int]:
        """Give columns and lines of the terminal as it is now."""
        return self._console.size

    def show(self, lines: Iterable[str]) -> None:
        """Show these lines in place of the last."""
        self._live.update(Text("\n".join(safe(line) for line in lines), overflow="fold"), refresh=True)

    def draw(self, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
        """Draw a table, a line a row, and the notes below. A row's first cell marks a change: `+`, `-`, `~`, or a blank.

        Where they do not all fit, those with a mark come first, and the rest is counted.
        """
        room = max(1, self._console.height - len(notes) - 6)
        fitting = rows if len(rows) <= room else sorted(rows, key=lambda row: row[0] == " ")[:room]
        table = Table(*head, box=None, pad_edge=False, header_style="bold")
        for column in table.columns:
            column.no_wrap = True
        for row in fitting:
            style = _MARKS.get(row[0], "")
            table.add_row(*(Text(safe(cell), style=STYLES.get(cell, style), overflow="ellipsis") for cell in row))
        more = [f"and {len(rows) - room} more: make the window higher, or see them with: k3s-rootless ports"]
        # The cursor rests on a line of its own below.
        below = [*(more if fitting is not rows else []), "", *notes, ""]
        lines = [Text(safe(note), style="dim", no_wrap=True, overflow="ellipsis") for note in below]
        self._live.update(Group(table, *lines), refresh=True)
