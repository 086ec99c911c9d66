"""The only module that prints. stdout is the answer, stderr the story; words carry the meaning, colour only adds.

rich is loaded only where a table or a tree is asked for as text; it honours NO_COLOR, TERM=dumb and pipes by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli import output
from k3s_rootless.cli.style import STYLES, safe, styled

if TYPE_CHECKING:
    from rich.console import Console

    from k3s_rootless.cli.screen import Screen
    from k3s_rootless.finding import Finding

_MOST_RICH_ROWS = 500
_BETWEEN = 3
"""Columns between two of a table."""
_EVENTFUL = frozenset({"up", "restart"})
_PIECES = 10_000
"""Pieces of a JSON document that are written together; a small document is one write."""
_MOST_PASSED = 12
"""Findings that are well are folded into a line for each group where there are more."""


class Report:
    """How one command speaks; with `json_for`, its answer is one document with the schema of that command."""

    def __init__(self, *, json_for: str | None = None) -> None:
        self.json_for = json_for
        if json_for is not None:
            # JSON is UTF-8 in each locale (RFC 8259), and half characters of a file name have no place in it.
            _write_utf8(sys.stdout)
        if self.eventful:
            _write_utf8(sys.stderr)

    def story(self, line: str) -> None:
        """Tell what is going on."""
        if self.eventful:
            self.event("story", text=line)
        else:
            click.echo(safe(line), err=True)

    @property
    def eventful(self) -> bool:
        """Whether the story is told as events, for programs that follow a start: one JSON object a line, on stderr."""
        return self.json_for in _EVENTFUL

    def event(self, name: str, /, **content: Any) -> None:  # noqa: ANN401 (whatever JSON has)
        """Tell of one event, with its time."""
        import json
        from datetime import UTC, datetime

        head = {"schema": f"k3s-rootless/{self.json_for}-event/v1", "event": name, "time": datetime.now(UTC).isoformat()}
        click.echo(json.dumps({**head, **content}, ensure_ascii=False), err=True)

    def answer(self, line: str | bytes = "") -> None:
        """Write a line of the answer, where it is text. Bytes are written unchanged, under any locale."""
        if self.json_for is None:
            click.echo(safe(line) if isinstance(line, str) else line)

    def value(self, text: str) -> None:
        """Print one value that is not ours: each byte of it to a program, and what is safe to a terminal."""
        if self.json_for is None:
            click.echo(safe(text) if sys.stdout.isatty() else text.encode("utf-8", "surrogateescape"))

    def document(self, content: Mapping[str, Any]) -> None:
        """Give the answer, where it is JSON."""
        if self.json_for is None:
            return
        import json
        from itertools import islice

        whole = {"schema": f"k3s-rootless/{self.json_for}/v1", **content}
        pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(whole)
        # In parts: the pieces of a document of 20,000 ports at once take 60 MiB.
        while part := "".join(islice(pieces, _PIECES)):
            click.echo(part, nl=False)
        click.echo()

    def document_line(self, content: Mapping[str, Any]) -> None:
        """Give an answer that is one of many: a whole document in one line."""
        import json

        click.echo(json.dumps({"schema": f"k3s-rootless/{self.json_for}/v1", **content}, ensure_ascii=False))

    def reader_left(self) -> bool:
        """Return whether nobody reads the answer any more."""
        return output.is_unread()

    def error(self, message: str, hint: str | None, code: int, details: Mapping[str, Any] | None = None) -> None:
        """Tell what went wrong, and apart from it what to do; `details` are what JSON has beside the words."""
        self.problem(message, hint)
        self.document({"errors": [{"message": message, "hint": hint, "exit_code": code, **(details or {})}]})

    def problem(self, message: str, hint: str | None) -> None:
        """Tell what went wrong beside an answer that there is all the same."""
        click.echo(f"{click.style('error', fg='red')}: {safe(message)}", err=True)
        if hint:
            click.echo(f"\n{click.style('hint', fg='cyan')}: {safe(hint)}", err=True)

    def confirm(self, question: str) -> bool | None:
        """Ask whoever sits at the terminal; None where nobody does."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        return click.confirm(safe(question), err=True)

    def table(
        self, head: Sequence[str], rows: Iterable[Sequence[str]], *, spare: Sequence[str] = (), folded: str | None = None
    ) -> None:
        """Give a table of text, as wide as its content where nobody can scroll sideways.

        rich folds it into a terminal, after the columns `spare` were left out, in this order, as far as room is short; with
        `folded` no other column than that is folded, so that what is clicked or pasted stays whole. A pipe and a very long
        table get plain columns: those take a hundredth of the time.
        """
        if self.json_for is not None:
            return
        cells = [tuple(safe(cell) for cell in row) for row in rows]
        if not sys.stdout.isatty() or len(cells) > _MOST_RICH_ROWS:
            _plain_table(head, cells)
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        console = _console()
        head, shown = _narrowed(head, cells, spare, console.width)
        table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for column in table.columns if folded else ():
            column.no_wrap = column.header != folded
        for row in shown:
            table.add_row(*(Text(cell, style=STYLES.get(cell, ""), overflow="fold") for cell in row))
        console.print(table)

    def on_terminal(self, *, story: bool = False) -> bool:
        """Tell whether the answer, or the story, is text for a terminal on which it can be drawn anew in its place."""
        stream = sys.stderr if story else sys.stdout
        return self.json_for is None and stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}

    @contextmanager
    def screen(self) -> Iterator[Screen]:
        """Give a place on the terminal in which tables are drawn one over the other; the last one stays."""
        from rich.live import Live

        from k3s_rootless.cli.screen import Screen

        console = _console()
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            # rich hides the cursor, and a program that is killed could not bring it back.
            console.show_cursor(show=True)
            yield Screen(console, live)

    def findings(self, findings: Iterable[Finding], *, to_stderr: bool = False) -> None:
        """Show findings as a tree: what needs doing first, and what mends several once, behind the last of the gravest."""
        if self.json_for is not None and not to_stderr:
            return
        if self.eventful:
            for one in findings:
                self.event("finding", **finding_document(one))
            return
        order = ("fail", "unknown", "warn", "info", "pass")
        ordered = sorted(findings, key=lambda one: order.index(one.verdict.value))
        gravest = {one.remedy: one.verdict for one in reversed(ordered) if one.remedy}
        last = {one.remedy: one.check for one in ordered if one.remedy and one.verdict is gravest[one.remedy]}
        passed = [one for one in ordered if one.verdict.value == "pass"]
        folded = len(passed) > _MOST_PASSED
        for one in ordered[: len(ordered) - len(passed)] if folded else ordered:
            behind, told = (last[one.remedy], gravest[one.remedy] is not one.verdict) if one.remedy else ("", False)
            self._finding(one, err=to_stderr, behind=behind, told=told)
        for group in dict.fromkeys(one.check.partition(".")[0] for one in passed if folded):
            names = [one.check.partition(".")[2] for one in passed if one.check.startswith(f"{group}.")]
            click.echo(f"{styled('pass    ', fg='green')}{group}  {styled(', '.join(names), dim=True)}", err=to_stderr)

    def _finding(self, one: Finding, *, err: bool, behind: str, told: bool) -> None:
        verdict = styled(f"{one.verdict.value:<8}", fg=STYLES[one.verdict.value])
        observed = styled(safe(one.observed), bold=one.verdict.value == "fail", dim=one.verdict.value != "fail")
        click.echo(f"{verdict}{one.title}  {observed}".rstrip(), err=err)
        for detail in _details(one, behind, told=told):
            click.echo(f"        {detail}", err=err)


def finding_document(finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON has it; keys are only ever added."""
    remedy = finding.remedy
    return {
        "check": finding.check,
        "title": finding.title,
        "verdict": finding.verdict.value,
        "severity": finding.severity.value,
        "observed": finding.observed,
        "source": finding.source,
        "reason": finding.reason,
        "documentation": finding.anchor,
        "remedy": remedy and {"mender": remedy.mender.value, "text": remedy.text, "commands": list(remedy.commands)},
    }


def _write_utf8(stream: Any) -> None:  # noqa: ANN401 (a stream in memory may be of any kind)
    stream.reconfigure(encoding="utf-8", errors=output.ERRORS)


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for line in (head, ["\u2500" * width for width in widths], *rows):
        click.echo("   ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _narrowed(
    head: Sequence[str], rows: Sequence[tuple[str, ...]], spare: Sequence[str], room: int
) -> tuple[Sequence[str], Sequence[tuple[str, ...]]]:
    shown = list(range(len(head)))
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for name in spare:
        if sum(widths[at] + _BETWEEN for at in shown) - _BETWEEN <= room:
            break
        shown = [at for at in shown if head[at] != name]
    return [head[at] for at in shown], [tuple(row[at] for at in shown) for row in rows]


def _details(finding: Finding, behind: str, *, told: bool) -> list[str]:
    if finding.verdict.value == "pass":
        return []
    lines = [f"{safe(finding.reason)} ({finding.check}{', ' + safe(finding.source) if finding.source else ''})"]
    if finding.remedy and told:
        lines.append(f"{finding.remedy.mender.value}: the same as for {behind}")
    elif finding.remedy and behind == finding.check:
        lines.append(f"{finding.remedy.mender.value}: {safe(finding.remedy.text)}")
        # What nothing needs to be done about is told in a line; the commands are in the JSON.
        commands = () if finding.verdict.value == "info" else finding.remedy.commands
        lines += [f"  $ {safe(command)}" for command in commands]
    return lines


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        # Nobody scrolls a pipe: a table must not be cut to the width of a terminal that is not there.
        console.width = 400
    return console
