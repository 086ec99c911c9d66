"""Print the output of a command: the answer on stdout, progress and errors on stderr.

No other module prints. Words carry the meaning; colour only highlights it. rich is loaded only
where a table or a tree is printed as text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless import schemas
from k3s_rootless.cli import output
from k3s_rootless.cli.display import layout
from k3s_rootless.cli.display.style import STYLES, can_redraw, console, styled
from k3s_rootless.errors import error_document
from k3s_rootless.operations.events import Notice
from k3s_rootless.printable import json_text
from k3s_rootless.printable import printable_lines as safe

if TYPE_CHECKING:
    from k3s_rootless.cli.display.download import Download
    from k3s_rootless.cli.display.live import Progress
    from k3s_rootless.cli.display.terminal import Screen
    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.events import Event
    from k3s_rootless.operations.releases.events import Arriving

_MOST_RICH_ROWS = 500
_WITH_EVENTS = frozenset({"up", "restart"})
_PIECES = 10_000
"""Number of JSON pieces that are written together; a small document is one write."""


class Report:
    """The output of one command.

    With `json_for`, the answer is one JSON document with the schema of that command.
    """

    def __init__(self, *, json_for: str | None = None) -> None:
        self.json_for = json_for
        self.draws = True
        """False if the progress of a start is printed as lines, also on a terminal."""
        self._progress: Progress | None = None
        self._download: Download | None = None
        if json_for is not None:
            # JSON is UTF-8 in any locale (RFC 8259), and must not contain the surrogates of a file
            # name.
            _write_utf8(sys.stdout)
        if self.prints_events:
            _write_utf8(sys.stderr)

    def handle(self, event: Event) -> None:
        """Show an event of an operation while it works."""
        if isinstance(event, Notice):
            self.notice(event.text)
            return
        from k3s_rootless.operations.launch import events
        from k3s_rootless.operations.releases.events import Arrived, Arriving

        match event:
            case Arriving():
                self._show_download(event)
            case Arrived():
                self._end_download()
            case events.ChecksFailed(findings):
                self.findings(findings, to_stderr=True)
            case events.StepBegins(does, cause):
                self.notice(f"{does}: {cause}")
            case events.Logged(text):
                click.echo(safe(text), err=True)
            case _:
                self._handle_wait(event)

    def _show_download(self, event: Arriving) -> None:
        if self.json_for is not None:
            return
        if self._download is None:
            from k3s_rootless.cli.display.download import Download

            self._download = Download(self, event)
        self._download.arriving(event)

    def _end_download(self) -> None:
        if self._download is not None:
            self._download.end()
            self._download = None

    def _handle_wait(self, event: Event) -> None:
        from k3s_rootless.cli.display import live
        from k3s_rootless.operations.launch import events

        if isinstance(event, events.StartAhead):
            live.prepare(self)
        if isinstance(event, events.Waiting):
            self._progress = live.Progress(self, event)
        if self._progress is None:
            return
        if isinstance(event, events.PhaseReached):
            self._progress.reached(event)
        elif isinstance(event, events.Died):
            self._progress.died(event)
        elif isinstance(event, events.WaitOver):
            self._progress.end()

    def notice(self, line: str) -> None:
        """Print progress."""
        if self.prints_events:
            self.event("notice", text=line)
        else:
            _echo(safe(line), err=True)

    @property
    def prints_events(self) -> bool:
        """True if progress is printed as events, for programs that follow a start.

        Each event is one JSON object on a line of stderr.
        """
        return self.json_for in _WITH_EVENTS

    def event(self, name: str, /, **content: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Print one event with its time."""
        from datetime import UTC, datetime

        head = {
            "schema": schemas.name(f"{self.json_for}-event"),
            "event": name,
            "time": datetime.now(UTC).isoformat(),
        }
        click.echo(_line_of({**head, **content}), err=True)

    def answer(self, line: str = "", *, hang: int | None = None) -> None:
        """Print a line of the answer, unless the answer is JSON.

        `hang` is as for `layout.wrapped`.
        """
        if self.json_for is None:
            _echo(safe(line), hang=hang)

    def verbatim(self, text: str | bytes) -> None:
        """Print text that users copy or redirect to a file, without wrapping.

        Bytes are the same in any locale.
        """
        if self.json_for is None:
            click.echo(safe(text) if isinstance(text, str) else text)

    def value(self, text: str) -> None:
        """Print one foreign value: every byte to a program, but only safe text to a terminal."""
        if self.json_for is None:
            click.echo(
                safe(text) if sys.stdout.isatty() else text.encode("utf-8", "surrogateescape")
            )

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the answer if it is JSON."""
        if self.json_for is None:
            return
        import json

        whole = {"schema": schemas.name(self.json_for), **content}
        pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(whole)
        # In parts: all pieces of a document with 20,000 ports would take 60 MiB.
        while part := "".join(islice(pieces, _PIECES)):
            click.echo(json_text(part), nl=False)
        click.echo()

    def document_line(self, content: Mapping[str, Any]) -> None:
        """Print one of several answers: a whole JSON document on one line."""
        if self.json_for is None:
            return
        click.echo(_line_of({"schema": schemas.name(self.json_for), **content}))

    def reader_left(self) -> bool:
        """Return whether the reader of the answer has exited."""
        return output.is_unread()

    def error(
        self, message: str, hint: str | None, code: int, details: Mapping[str, Any] | None = None
    ) -> None:
        """Print an error, and separately its hint.

        `details` are additional fields of the JSON answer.
        """
        self.problem(message, hint)
        self.document({"errors": [error_document(message, hint, code, details)]})

    def problem(self, message: str, hint: str | None) -> None:
        """Print an error beside an answer that is printed as well."""
        _echo(f"{styled('error', fg='red')}: {safe(message)}", err=True)
        if hint:
            _echo(f"\n{styled('hint', fg='cyan')}: {safe(hint)}", err=True)

    @property
    def can_ask(self) -> bool:
        """True if a user can answer: stdin and stderr are a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool | None:
        """Ask the user at the terminal; None if no user can answer."""
        if not self.can_ask:
            return None
        return click.confirm(safe(question), err=True)

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        spare: Sequence[str] = (),
        prose: str | None = None,
    ) -> None:
        """Print a table, as wide as its content unless stdout is a terminal.

        If a terminal is too narrow, the columns in `spare` are left out, in this order, and the
        column `prose` is broken between words; if this is not enough, each row is stacked. Nothing
        is cut. A pipe and a very long table get plain columns, which take a hundredth of the time.
        """
        if self.json_for is not None:
            return
        cells = [tuple(safe(cell) for cell in row) for row in rows]
        if not sys.stdout.isatty():
            _print(layout.plain(head, cells))
            return
        room = layout.columns(sys.stdout)
        fitted = layout.fitted(head, cells, room, spare, prose)
        if fitted is None:
            _print(line for card in layout.cards(head, cells, room) for line in card)
        elif len(cells) > _MOST_RICH_ROWS:
            _print(layout.plain(head, cells))
        else:
            _draw(*fitted)
            if left_out := [name for name in head if name not in fitted[0]]:
                self.answer(f"(a wider terminal also shows {', '.join(left_out)})")

    def on_terminal(self, *, stderr: bool = False) -> bool:
        """Return whether stdout, or stderr, shows text on a terminal that can be redrawn."""
        stream = sys.stderr if stderr else sys.stdout
        return self.json_for is None and can_redraw(stream)

    @contextmanager
    def screen(self) -> Iterator[Screen]:
        """Yield a place on the terminal in which each table replaces the previous one.

        The last table stays on the terminal.
        """
        from rich.live import Live

        from k3s_rootless.cli.display.terminal import Screen

        drawn = console()
        with Live(
            console=drawn, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live:
            # rich hides the cursor, and a program that is killed could not show it again.
            drawn.show_cursor(show=True)
            yield Screen(drawn, live)

    def findings(self, findings: Iterable[Finding], *, to_stderr: bool = False) -> None:
        """Show findings: as events of a start, else as text."""
        if self.json_for is not None and not to_stderr:
            return
        if self.prints_events:
            for one in findings:
                self.event("finding", **one.document())
            return
        from k3s_rootless.cli.display import findings as renderer

        for text, hang in renderer.lines(tuple(findings)):
            _echo(text, err=to_stderr, hang=hang)


def _line_of(content: Mapping[str, Any]) -> str:
    """Return a JSON document on one line."""
    import json

    return json_text(json.dumps(content, ensure_ascii=False))


def _write_utf8(stream: Any) -> None:  # noqa: ANN401 (an in-memory stream may have any type)
    stream.reconfigure(encoding="utf-8", errors=output.ERRORS)


def _echo(text: str, *, err: bool = False, hang: int | None = None) -> None:
    stream = sys.stderr if err else sys.stdout
    click.echo(
        layout.wrapped(text, layout.columns(stream), hang) if stream.isatty() else text, err=err
    )


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _draw(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console(layout.columns(sys.stdout)).print(table)
