"""Prints lines without end: how a line looks, and when it is through."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli import output
from k3s_rootless.printable import json_text, printable

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Entry
    from k3s_rootless.journal.lines import Line

_COLOURS = {"fatal": "red", "error": "red", "warning": "yellow"}
_LONGEST = 64 * 1024


def write(rendered: Iterable[str], *, at_once: bool) -> None:
    """Write lines to stdout until they end or no reader is left; flush each before the next is read
    if `at_once`.
    """
    if at_once and output.is_unread():
        return  # it may take hours until the next line is written, and fails
    # click knows whether colours are wanted: NO_COLOR is honoured by `_coloured`, pipes by click.
    out = sys.stdout
    for line in rendered:
        print(line, file=out, flush=at_once)
        if output.is_broken():
            return
    out.flush()


def text_line(entry: Entry, line: Line) -> str:
    """Give a line as text: when, who, what; serious ones in colour, what is usual and harmless
    dimmed.
    """
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.catalogue import Weight

    time = entry.time.astimezone().strftime("%b %d %H:%M:%S") if entry.time else "-"
    text = f"{time} {entry.identifier or 'k3s'}: {safe(entry.message)}"
    if not _coloured():
        return text
    known = diagnosis.recognise(diagnosis.normal(line.text[:4096]))
    weight = known and (known[1].weight or known[0].weight)
    if weight in {Weight.BENIGN, Weight.NOTE} or line.level in {"trace", "debug"}:
        return click.style(text, dim=True)
    colour = _COLOURS.get(line.level)
    return click.style(text, fg=colour, bold=line.level == "fatal") if colour else text


def repeated(count: int) -> str:
    """Say how often the line before was said again."""
    text = f"                … {count} more like it"
    return click.style(text, dim=True) if _coloured() else text


def json_line(document: Mapping[str, Any]) -> str:
    """Give one JSON object on one line."""
    return json_text(json.dumps({"schema": "k3s-rootless/logs/v1", **document}, ensure_ascii=False))


def safe(message: str) -> str:
    """Replace what does not print; a line that others ended inside of an entry stays one."""
    return "\n".join(printable(part, _LONGEST) for part in message.expandtabs(4).split("\n"))


def _coloured() -> bool:
    import os

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
