"""Streams lines to the reader: filtered, folded, in colour, as JSON or as they are, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.journal import lines
from k3s_rootless.journal.facts import Entry

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session

_FILTERED_LINES = 100_000
"""How far back is looked for the last lines of one level or component."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader asked for."""

    level: str | None
    component: str | None
    count: int | None
    grep: str | None
    follow: bool
    raw: bool
    as_json: bool

    @property
    def filtered(self) -> bool:
        """Whether lines are left out after they were read."""
        return self.level is not None or self.component is not None

    def holds(self, line: lines.Line) -> bool:
        """Tell whether a line is asked for."""
        if self.component is not None and line.component != self.component:
            return False
        return self.level is None or lines.at_least(line.level, self.level)


def journal(session: Session, wanted: Wanted, *, invocation: str | None, since: str | None, boot: bool) -> None:
    """Show the journal's lines. Raises RootlessError where this user cannot read it."""
    from k3s_rootless import command
    from k3s_rootless.journal import reader
    from k3s_rootless.journal.facts import Query

    # Of a filtered journal, the last lines are those that pass the filter: journalctl cannot count them.
    count = None if wanted.filtered and not wanted.follow else wanted.count
    query = Query(session.uid, invocation, count, since, boot=boot, follow=wanted.follow, grep=wanted.grep)
    if wanted.raw:
        command.replace(reader.plain(query), session.environ)
    with reader.read(query) as entries:
        show(wanted, entries)


def containerd(session: Session, wanted: Wanted) -> None:
    """Show containerd's own log, which K3s writes to a file. Raises RootlessError where there is none."""
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal.containerd import read

    path = session.paths.data / "agent/containerd/containerd.log"
    if not path.exists():
        raise NotRunning(f"containerd has written no log: there is no {path}", hint="start K3s with: k3s-rootless up")
    with read(path, wanted.count, follow=wanted.follow) as entries:
        show(wanted, entries)


def show(wanted: Wanted, entries: Iterable[Entry]) -> None:
    """Write the entries that are asked for, each at once where they are followed."""
    from k3s_rootless.cli import stream

    found = ((entry, line) for entry in entries if wanted.holds(line := _line(entry)))
    kept: Iterable[tuple[Entry, lines.Line]] = found
    if wanted.filtered and wanted.count is not None and not wanted.follow:
        from collections import deque

        kept = deque(found, maxlen=min(wanted.count, _FILTERED_LINES))
    if wanted.as_json:
        stream.write((stream.json_line(_document(*one)) for one in kept), at_once=wanted.follow)
    else:
        stream.write(_rendered(kept, fold=not wanted.follow), at_once=wanted.follow)


def _line(entry: Entry) -> lines.Line:
    return lines.parse(entry.message, entry.identifier, entry.priority)


def _rendered(kept: Iterable[tuple[Entry, lines.Line]], *, fold: bool) -> Iterator[str]:
    from k3s_rootless.cli import stream

    before, repeated = None, 0
    for entry, line in kept:
        # Followed lines are passed on as they come: a count would have to wait for the next line.
        said = (entry.identifier, lines.folded(line.text)) if fold else None
        if said is not None and said == before:
            repeated += 1
            continue
        if repeated:
            yield stream.repeated(repeated)
        before, repeated = said, 0
        yield stream.text_line(entry, line)
    if repeated:
        yield stream.repeated(repeated)


def _document(entry: Entry, line: lines.Line) -> dict[str, Any]:
    return {
        "time": entry.time.isoformat() if entry.time else None,
        "level": line.level,
        "component": line.component,
        "message": entry.message,
        "identifier": entry.identifier,
        "priority": entry.priority,
        "pid": entry.pid,
        "invocation": entry.invocation,
        "cursor": entry.cursor,
    }
