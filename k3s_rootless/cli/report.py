"""The only module that prints. stdout is the answer, stderr the story; words carry the meaning, colour only adds.

rich is loaded only where a table or a tree is asked for as text; it honours NO_COLOR, TERM=dumb and pipes by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from k3s_rootless.finding import Finding

_STYLES = {
    **dict.fromkeys(("pass", "answering", "forwarded", "free"), "green"),
    **dict.fromkeys(("warn", "pending", "stray", "not forwarded"), "yellow"),
    **dict.fromkeys(("fail", "blocked", "collision", "stalled", "silent"), "red"),
    "unknown": "magenta",
}
_MOST_RICH_ROWS = 500


class Report:
    """How one command speaks; with `json_for`, its answer is one document with the schema of that command."""

    def __init__(self, *, json_for: str | None = None) -> None:
        self.json_for = json_for

    def story(self, line: str) -> None:
        """Tell what is going on."""
        click.echo(_safe(line), err=True)

    def answer(self, line: str = "") -> None:
        """Give a line of the answer, where it is text."""
        if self.json_for is None:
            click.echo(_safe(line))

    def value(self, text: str) -> None:
        """Give an answer that is one value of somebody else's: as it is to a program, made safe for a terminal."""
        if self.json_for is None:
            click.echo(_safe(text) if sys.stdout.isatty() else text)

    def document(self, content: Mapping[str, Any]) -> None:
        """Give the answer, where it is JSON."""
        if self.json_for is None:
            return
        import json

        click.echo(json.dumps({"schema": f"k3s-rootless/{self.json_for}/v1", **content}, indent=2, ensure_ascii=False))

    def document_line(self, content: Mapping[str, Any]) -> None:
        """Give an answer that is one of many: a whole document in one line."""
        import json

        click.echo(json.dumps({"schema": f"k3s-rootless/{self.json_for}/v1", **content}, ensure_ascii=False))

    def reader_left(self) -> bool:
        """Tell whether whoever read the answer has gone: a pipe without a reader, a terminal that was closed."""
        import select

        asked = select.poll()
        try:
            asked.register(sys.stdout.fileno(), 0)
        except (OSError, ValueError):
            return False  # a stream in memory, as of a test
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in asked.poll(0))

    def error(self, message: str, hint: str | None, code: int) -> None:
        """Tell what went wrong, and apart from it what to do."""
        click.echo(f"{click.style('error', fg='red')}: {_safe(message)}", err=True)
        if hint:
            click.echo(f"\n{click.style('hint', fg='cyan')}: {_safe(hint)}", err=True)
        self.document({"errors": [{"message": message, "hint": hint, "exit_code": code}]})

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Give a table of text, as wide as its content where nobody can scroll sideways.

        rich folds it into a terminal. A pipe and a very long table get plain columns: those take a hundredth of the time.
        """
        if self.json_for is not None:
            return
        cells = [tuple(_safe(cell) for cell in row) for row in rows]
        if not sys.stdout.isatty() or len(cells) > _MOST_RICH_ROWS:
            _plain_table(head, cells)
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for row in cells:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, ""), overflow="fold") for cell in row))
        _console().print(table)

    def findings(self, findings: Iterable[Finding], *, to_stderr: bool = False) -> None:
        """Show findings as a tree: what needs doing first, and under each what was seen and what mends it."""
        if self.json_for is not None and not to_stderr:
            return
        from rich.text import Text

        console = _console(stderr=to_stderr)
        order = ("fail", "unknown", "warn", "pass")
        for finding in sorted(findings, key=lambda one: order.index(one.verdict.value)):
            line = Text.assemble((f"{finding.verdict.value:<8}", _STYLES[finding.verdict.value]), finding.title)
            line.append(f"  {_safe(finding.observed)}", style="bold" if finding.verdict.value == "fail" else "dim")
            console.print(line, soft_wrap=True)
            for detail in _details(finding):
                console.print(Text(f"        {detail}"), soft_wrap=True)


def finding_document(finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON has it; keys are only ever added."""
    remedy = finding.remedy
    return {
        "check": finding.check,
        "title": finding.title,
        "verdict": finding.verdict.value,
        "observed": finding.observed,
        "source": finding.source,
        "reason": finding.reason,
        "documentation": finding.anchor,
        "remedy": remedy and {"mender": remedy.mender.value, "text": remedy.text, "commands": list(remedy.commands)},
    }


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for line in (head, ["\u2500" * width for width in widths], *rows):
        click.echo("   ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _details(finding: Finding) -> list[str]:
    if finding.verdict.value == "pass":
        return []
    lines = [f"{_safe(finding.reason)} ({finding.check}{', ' + finding.source if finding.source else ''})"]
    if finding.remedy:
        lines.append(f"{finding.remedy.mender.value}: {_safe(finding.remedy.text)}")
        lines += [f"  $ {_safe(command)}" for command in finding.remedy.commands]
    return lines


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        # Nobody scrolls a pipe: a table must not be cut to the width of a terminal that is not there.
        console.width = 400
    return console


def _safe(text: str) -> str:
    # Our own text has lines, and others' has tabs (a Go panic); what else does not print is nobody's business here.
    return "\n".join(printable(line, len(line)) for line in text.expandtabs(4).split("\n"))
