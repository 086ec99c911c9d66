"""Show the turns of `ports --watch`.

A program gets one JSON document a line, a pipe one line a change, and a terminal one table that is
redrawn in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from k3s_rootless.cli.display import ports
from k3s_rootless.operations.ports import document
from k3s_rootless.operations.ports.changes import What

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cli.display.terminal import Screen
    from k3s_rootless.operations.ports.watch import Turn
    from k3s_rootless.ports.facts import Exposure

_HEAD = ("", "HOST", "PROTOCOL", "TARGET", "NAME", "STATUS", "URL")
_LATEST = 6
_MARKS = {What.ADDED: "+", What.REMOVED: "-", What.CHANGED: "~", None: " "}


class Renderer(Protocol):
    """Shows one turn after the other."""

    def show(self, turn: Turn) -> None:
        """Show the differences from the previous turn."""


@contextmanager
def renderer(report: Report) -> Iterator[Renderer]:
    """Return the renderer for JSON, a pipe, or a terminal."""
    if report.json_for is not None:
        yield Documents(report)
    elif not report.on_terminal():
        yield Lines(report)
    else:
        with report.screen() as screen:
            yield Table(screen)


class Documents:
    """One whole document a line, with its time and its changes."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def show(self, turn: Turn) -> None:
        """Print a line for the first turn, and for each turn with changes."""
        if turn.is_first or turn.changes:
            self._report.document_line(document.of_turn(turn))


class Lines:
    """First a line for each row, then a line for each change."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def show(self, turn: Turn) -> None:
        """Print the lines."""
        time = turn.time.isoformat(timespec="milliseconds")
        if turn.is_first:
            for notice in turn.answer.notices:
                self._report.notice(notice)
            for row in turn.answer.rows:
                self._report.answer(f"{time} = {_line(row)}")
        for one in turn.changes:
            if one.is_visible:
                self._report.answer(f"{time} {_MARKS[one.what]} {_line(one.row)}")


class Table:
    """One table that is redrawn in its place, with the latest changes below it.

    Changed rows are marked for a while.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._size = (0, 0)
        self._latest: deque[str] = deque(maxlen=_LATEST)

    def show(self, turn: Turn) -> None:
        """Draw the table if its content or the size of the terminal has changed."""
        for one in turn.changes:
            if one.is_visible:
                self._latest.append(f"{turn.time:%H:%M:%S} {_MARKS[one.what]} {_line(one.row)}")
        if turn.is_update or self._screen.size != self._size:
            self._draw(turn)

    def _draw(self, turn: Turn) -> None:
        self._size = self._screen.size
        ending = f"updated {turn.time:%H:%M:%S}; press Ctrl-C to exit"
        self._screen.draw(
            _HEAD,
            [_cells(what, row) for what, row in turn.table],
            [*turn.answer.notices, ending],
            news=tuple(self._latest),
            spare=("NAME", "PROTOCOL"),
            prose="TARGET",
        )


def _cells(what: What | None, row: Exposure) -> tuple[str, ...]:
    where, _, _, proto, target, name, status, url, _ = ports.cells(row)
    if what is What.REMOVED:
        url = ""
    return (_MARKS[what], where, proto, target, name, status, url)


def _line(row: Exposure) -> str:
    where, _, offset, proto, target, name, status, url, _ = ports.cells(row)
    named = f" {name}" if name else ""
    added = f" ({offset})" if offset else ""
    reason = f": {row.reason}" if row.reason else ""
    link = f" {url}" if url else ""
    return f"{where} {proto} -> {target}{named}{added}: {status}{reason}{link}"
