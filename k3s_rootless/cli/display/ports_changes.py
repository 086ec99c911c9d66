"""How `ports --watch` tells what is different: a document a line, a line a change, or on a terminal
one table in its place.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from k3s_rootless.cli.display import ports
from k3s_rootless.observation import Known
from k3s_rootless.operations.ports import document as ports_document
from k3s_rootless.operations.ports import sources

if TYPE_CHECKING:
    from types import TracebackType

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cli.display.terminal import Screen
    from k3s_rootless.ports.facts import Exposure, PortMap

MARKED_SECONDS = 5.0
"""For how long a change is marked on a terminal, and what has gone is still shown there."""
_HEAD = ("", "HOST", "PROTOCOL", "REACHES", "NAME", "VERDICT", "URL")
_LATEST = 6
_WORDS = {"+": "added", "-": "removed", "~": "changed"}
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that came (`+`), went (`-`) or is different (`~`); of one that went, as it was."""

    mark: str
    row: Exposure
    before: Exposure | None = None

    @property
    def shows(self) -> bool:
        """Whether a reader of text can see it: a row has more to it than its line."""
        return self.before is None or _line(self.before) != _line(self.row)


class Teller(Protocol):
    """Tells each state once, as a context; `rest` is called in each turn that brought nothing."""

    def tell(self, found: PortMap, changes: Sequence[Change] | None) -> None:
        """Tell a state, and how it differs from the one before; None for the first."""

    def rest(self) -> None:
        """Do what is due without news."""


def rows_of(found: PortMap) -> dict[_Key, Exposure]:
    """Give the rows by what makes them the same row in the next state."""
    return {_key(row): row for row in found.rows}


def compared(before: Mapping[_Key, Exposure], now: Mapping[_Key, Exposure]) -> list[Change]:
    """Give what is different, in the order of the rows: what went first."""
    gone = [Change("-", row) for key, row in before.items() if key not in now]
    here = [
        Change("~" if key in before else "+", row, before.get(key))
        for key, row in now.items()
        if before.get(key) != row
    ]
    return gone + here


def teller(report: Report) -> Documents | Lines | Table:
    """Give who suits the reader: a program that reads JSON, a pipe, or a terminal."""
    if report.json_for is not None:
        return Documents(report)
    return Table(report) if report.on_terminal() else Lines(report)


class _Context:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; there is nothing to put back."""

    def rest(self) -> None:
        """There is nothing to do."""


class Documents(_Context):
    """A whole document a line, with its time and its changes."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def tell(self, found: PortMap, changes: Sequence[Change] | None) -> None:
        """Give a line, if anything is different."""
        if changes is not None and not changes:
            return
        addresses = sources.addresses()
        document = ports_document.document(found, found.rows, addresses)
        known = addresses.value if isinstance(addresses, Known) else None
        told = [
            {"change": _WORDS[one.mark], "port": ports_document.port(one.row, known)}
            for one in changes or ()
        ]
        self._report.document_line(
            {"time": _now().isoformat(timespec="milliseconds"), **document, "changes": told}
        )


class Lines(_Context):
    """A line for each row to begin with, and for each change."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def tell(self, found: PortMap, changes: Sequence[Change] | None) -> None:
        """Give the lines."""
        if changes is None:
            for note in ports.unread(found, found.blind):
                self._report.story(note)
        now = _now().isoformat(timespec="milliseconds")
        for one in [Change("=", row) for row in found.rows] if changes is None else changes:
            if not one.shows:
                continue
            self._report.answer(f"{now} {one.mark} {_line(one.row)}")


class Table(_Context):
    """One table in its place, in which changes are marked for a while, and below it the latest of
    them.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._found: PortMap | None = None
        self._marks: dict[_Key, tuple[float, Change]] = {}
        self._latest: deque[str] = deque(maxlen=_LATEST)
        self._size = (0, 0)
        self._screen: Screen | None = None
        self._open = ExitStack()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the table as it stands."""
        self._open.close()

    def tell(self, found: PortMap, changes: Sequence[Change] | None) -> None:
        """Draw the table anew."""
        now = time.monotonic()
        self._found = found
        for one in (one for one in changes or () if one.shows):
            self._marks[_key(one.row)] = (now + MARKED_SECONDS, one)
            self._latest.append(f"{_now():%H:%M:%S} {one.mark} {_line(one.row)}")
        self._draw()

    def rest(self) -> None:
        """Take old marks away, and fit the table to a terminal that has another size now."""
        now = time.monotonic()
        over = [key for key, (until, _) in self._marks.items() if until <= now]
        for key in over:
            del self._marks[key]
        if over or (self._screen is not None and self._screen.size != self._size):
            self._draw()

    def _draw(self) -> None:
        if self._screen is None:
            self._screen = self._open.enter_context(self._report.screen())
        self._size = self._screen.size
        found = self._found
        here = [(_key(row), row) for row in (found.rows if found else ())]
        shown = [
            (self._marks[key][1].mark if key in self._marks else " ", row) for key, row in here
        ]
        gone = self._marks.keys() - {key for key, _ in here}
        shown += [("-", self._marks[key][1].row) for key in gone]
        shown.sort(key=lambda one: (one[1].proto, one[1].parent_port, one[1].target))
        notes = [*(ports.unread(found, found.blind) if found else ())]
        notes += [f"as of {_now():%H:%M:%S}, each change within a second; Ctrl-C ends"]
        cells = [_cells(mark, row) for mark, row in shown]
        self._screen.draw(
            _HEAD,
            cells,
            notes,
            news=tuple(self._latest),
            spare=("NAME", "PROTOCOL"),
            prose="REACHES",
        )


def _cells(mark: str, row: Exposure) -> tuple[str, ...]:
    where, _, _, proto, target, name, status, url, _ = _text(row)
    return (mark, where, proto, target, name, status, "" if mark == "-" else url)


def _key(row: Exposure) -> _Key:
    return (
        row.proto,
        row.parent_ip,
        row.parent_port,
        row.child_port,
        row.kind,
        row.namespace,
        row.service,
        row.port_name,
    )


def _text(row: Exposure) -> tuple[Any, ...]:
    return ports.cells(replace(row, probe=None))


def _line(row: Exposure) -> str:
    where, _, offset, proto, target, name, status, url, _ = _text(row)
    middle = f"{target}{f' {name}' if name else ''}{f' ({offset})' if offset else ''}"
    return (
        f"{where} {proto} -> {middle}:"
        f" {status}{f': {row.reason}' if row.reason else ''}{f' {url}' if url else ''}"
    )


def _now() -> datetime:
    return datetime.now().astimezone()
