"""The text files of a bundle, redacted: the unit, and the journal of the last starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from k3s_rootless.operations.bundle import starts
from k3s_rootless.operations.bundle.sources import UnitFile
from k3s_rootless.printable import printable_lines as safe
from k3s_rootless.support.facts import Item, Line, LoggedStart
from k3s_rootless.support.redaction.redact import Redactor

UNIT_FILE = "unit.txt"
UNIT = "unit and drop-ins, in the form of `systemctl --user cat`"
JOURNAL = "journal/"
STARTS = "logs of the last starts of K3s"
LOG_FILE = "k3s-log.txt"
LOG = "file that K3s writes its log to in place of the journal (`config get log`)"
LONGEST_LINE = 8192


def unit(files: Iterable[UnitFile], redactor: Redactor) -> Item:
    """Return the files of the unit as one text."""
    parts = []
    problems = []
    for one in files:
        path = redactor.text(str(one.path))
        parts.append(safe(f"# {path}\n{redactor.unit(one.text or '')}"))
        if one.problem:
            problems.append(one.problem)
    return Item(UNIT_FILE, UNIT, "\n".join(parts), redactor.text("; ".join(problems)))


def redacted(start: LoggedStart, redactor: Redactor) -> LoggedStart:
    """Return a start with redacted and printable lines."""
    # Lines are made printable after redaction, because the redactor finds secrets within escape
    # sequences.
    sources = {
        source: safe(redactor.line(source)) for source in {line.source for line in start.lines}
    }
    texts = redactor.lines(line.text for line in start.lines)
    lines = tuple(
        replace(line, source=sources[line.source], text=safe(_cut(line.text, text)))
        for line, text in zip(start.lines, texts, strict=True)
    )
    return replace(start, lines=lines)


def journal(number: int, start: LoggedStart) -> Item:
    """Return the lines of a start as a file; the last start has the number 1."""
    what = "log of the last start of K3s"
    if number > 1:
        what = f"log of start {number}, counted back from the last start"
    head = f"# invocation {start.invocation or 'unknown'}; times are UTC"
    if start.cut:
        head += "; older lines were left out (size limit)"
    body = "".join(map(_text, start.lines))
    return Item(f"{JOURNAL}start-{number}.txt", what, f"{head}\n{body}")


def log_file(lines: LoggedStart) -> Item:
    """Return the file that K3s writes its log to."""
    head = "# times are UTC"
    if lines.cut:
        head += "; older lines were left out (size limit)"
    return Item(LOG_FILE, LOG, f"{head}\n{''.join(map(_text, lines.lines))}")


def _text(line: Line) -> str:
    time = "-"
    if line.time is not None:
        time = line.time.isoformat(timespec="microseconds")
    return f"{time} {line.level:<7} {line.source}: {line.text}\n"


def _cut(text: str, line: str) -> str:
    if len(text) == starts.LONGEST_LINE:
        # The text was cut before redaction, possibly in the middle of a secret. So the end of the
        # text is removed.
        line = line[: max(0, len(line) - LONGEST_LINE)]
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[:LONGEST_LINE]}… (cut)"
