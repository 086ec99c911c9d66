"""Print endless streams of lines: the format of a line, and when it is flushed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from k3s_rootless import schemas
from k3s_rootless.cli import output
from k3s_rootless.cli.display.style import is_coloured
from k3s_rootless.journal import lines
from k3s_rootless.operations import logs
from k3s_rootless.printable import json_text, printable

_COLOURS = {"fatal": "red", "error": "red", "warning": "yellow"}
_LONGEST = 64 * 1024


def write(rendered: Iterable[str | None], *, at_once: bool) -> None:
    """Write lines to stdout until they end or stdout has no reader.

    With `at_once`, flush each line before the next one is read. None is not a line: it marks a
    point after which the next line may take hours.
    """
    if at_once and output.is_unread():
        return  # the next write would fail, but may be hours away
    out = sys.stdout
    for line in rendered:
        if line is not None:
            print(line, file=out, flush=at_once)
            if output.is_broken():
                return
        elif output.is_unread():
            return
    out.flush()


def coloured() -> bool:
    """Return whether lines are printed in the colours of their weights."""
    return is_coloured(sys.stdout)


def json_lines(records: Iterable[logs.Record]) -> Iterator[str | None]:
    """Yield each line as a JSON object on one line, and None where only new lines follow."""
    for record in records:
        yield None if isinstance(record, logs.CaughtUp) else json_line(logs.document(record))


def text_lines(records: Iterable[logs.Record], *, in_colour: bool) -> Iterator[str | None]:
    """Yield each line as text, and None where only new lines follow.

    Existing lines that differ only in their times are counted. New lines are not counted, because a
    count would have to wait for the next line.
    """
    existing = True
    before: tuple[str | None, str] | None = None
    count = 0
    for record in records:
        if isinstance(record, logs.CaughtUp):
            if count:
                yield repeated(count, in_colour=in_colour)
            existing, count = False, 0
            yield None
            continue
        if existing:
            same = (record.entry.identifier, lines.folded(record.line.text))
            if same == before:
                count += 1
                continue
            if count:
                yield repeated(count, in_colour=in_colour)
            before, count = same, 0
        yield text_line(record, in_colour=in_colour)
    if count:
        yield repeated(count, in_colour=in_colour)


def text_line(record: logs.LogLine, *, in_colour: bool = False) -> str:
    """Return a line as text: time, program, message; in the colour of its weight."""
    entry, _, weight = record
    time = "-"
    if entry.time is not None:
        time = entry.time.astimezone().strftime("%b %d %H:%M:%S")
    text = f"{time} {entry.identifier or 'k3s'}: {safe(entry.message)}"
    if not in_colour:
        return text
    if weight == logs.QUIET:
        return click.style(text, dim=True)
    colour = _COLOURS.get(weight)
    if colour is None:
        return text
    return click.style(text, fg=colour, bold=weight == "fatal")


def repeated(count: int, *, in_colour: bool) -> str:
    """Return the line that shows how often the previous line was repeated."""
    times = "time" if count == 1 else "times"
    text = f"                … repeated {count} more {times}"
    return click.style(text, dim=True) if in_colour else text


def json_line(document: Mapping[str, Any]) -> str:
    """Return one JSON object on one line."""
    return json_text(json.dumps({"schema": schemas.name("logs"), **document}, ensure_ascii=False))


def safe(message: str) -> str:
    """Replace unprintable characters; a line break in an entry stays a line break."""
    return "\n".join(printable(part, _LONGEST) for part in message.expandtabs(4).split("\n"))
