"""Streams lines to the reader: filtered, folded, in colour, as JSON or as they are, in constant
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.journal import lines
from k3s_rootless.journal.facts import Entry

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.service.facts import UnitState

_TAIL = 10
"""Lines of before that are shown first where new ones are followed, as journalctl and tail do."""
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
        """Whether the last lines can only be counted after they were read."""
        return self.level is not None or self.component is not None or self.grep is not None

    def holds(self, line: lines.Line) -> bool:
        """Tell whether a line is asked for."""
        if self.component is not None and line.component != self.component:
            return False
        return self.level is None or lines.at_least(line.level, self.level)


def journal(
    session: Session, wanted: Wanted, *, invocation: str | None, since: str | None, boot: bool
) -> None:
    """Show the journal's lines. Raises RootlessError where this user cannot read it."""
    from k3s_rootless import command
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.journal.sources import journald

    query = Query(
        session.uid,
        invocation,
        wanted.count,
        since,
        boot=boot,
        follow=wanted.follow,
        grep=wanted.grep,
    )
    if wanted.raw:
        command.replace(
            journald.plain(replace(query, invocation=None) if wanted.follow else query),
            session.environ,
        )
    heard: list[str | None] = [None]
    with journald.read(_past(wanted, query)) as entries:
        last = _TAIL if wanted.follow and wanted.count is None and since is None else wanted.count
        show(wanted, _noting(entries, heard), past=True, last=last if wanted.filtered else None)
    if (
        heard == [None]
        and invocation
        and wanted.grep is None
        and wanted.count != 0
        and journald.hidden()
    ):
        # systemd's own word on a start is always there: where the disk keeps old files, a new
        # journal in memory is not seen.
        session.report.story(
            f"this user can read nothing of this start in the journal\n{journald.HINT}"
        )
    if wanted.follow:
        with journald.read(_coming(query, heard[0])) as entries:
            show(wanted, entries)


def _past(wanted: Wanted, query: Query) -> Query:
    # Of a filtered journal, the last lines are those that pass the filter, which journalctl cannot
    # count; those that it finds by a pattern it gives in reverse (journalctl(1), --grep with
    # --lines).
    tail = _TAIL if wanted.follow and query.since is None else None
    count = wanted.count if wanted.count is not None else tail
    return replace(query, follow=False, lines=None if wanted.filtered else count)


def _coming(query: Query, cursor: str | None) -> Query:
    # Of each start that comes: whoever follows a K3s that dies wants to see it come back.
    if cursor is None and query.since is None:
        return replace(query, invocation=None, lines=0)
    return replace(
        query,
        invocation=None,
        lines=None,
        after=cursor,
        since=None if cursor else query.since,
        whole=True,
    )


def containerd(session: Session, wanted: Wanted) -> None:
    """Show containerd's own log of this start, which K3s writes to a file.

    Raises RootlessError where there is none.
    """
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal.sources.containerd_log import Reading, since

    state, path = _containerd_file(session)
    if not path.exists():
        hint = None if state and state.running else "start K3s with: k3s-rootless up"
        raise NotRunning(f"containerd has written no log: there is no {path}", hint=hint)
    found = _search(wanted.grep)
    with Reading(path) as entries:
        last = _TAIL if wanted.follow and wanted.count is None else wanted.count
        show(wanted, found(since(entries, state.started if state else None)), past=True, last=last)
    if wanted.follow:
        with Reading(path, start=entries.end, follow=True) as coming:
            show(wanted, found(coming))


def _containerd_file(session: Session) -> tuple[UnitState | None, Path]:
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.sources.containerd_log import FILE
    from k3s_rootless.operations import server_settings
    from k3s_rootless.paths import UNIT

    try:
        state = session.unit(UNIT)
    except RootlessError as error:
        session.report.story(
            f"{error.message}: reading the log in K3s's own default place, of all its starts"
        )
        return None, session.paths.data / FILE
    return state, server_settings.of(session, state).data / FILE


def _search(pattern: str | None) -> Callable[[Iterable[Entry]], Iterable[Entry]]:
    import re

    from k3s_rootless.errors import UsageError

    if pattern is None:
        return iter
    try:
        # As journalctl has it: letters of both cases are the same to a pattern without capitals.
        found = re.compile(pattern, re.IGNORECASE if pattern == pattern.lower() else 0)
    except re.error as error:
        raise UsageError(f"cannot search for `{pattern}`: {error}") from None
    return lambda entries: (entry for entry in entries if found.search(entry.message))


def _noting(entries: Iterable[Entry], heard: list[str | None]) -> Iterator[Entry]:
    for entry in entries:
        heard[0] = entry.cursor
        yield entry


def show(
    wanted: Wanted, entries: Iterable[Entry], *, past: bool = False, last: int | None = None
) -> None:
    """Write the entries that are asked for, each at once where they are followed; of the `past`,
    the `last` of them.
    """
    from k3s_rootless.cli.display import stream

    found = ((entry, line) for entry in entries if wanted.holds(line := _line(entry)))
    kept: Iterable[tuple[Entry, lines.Line]] = found
    if last is not None:
        from collections import deque

        kept = deque(found, maxlen=min(last, _FILTERED_LINES))
    if wanted.as_json:
        stream.write((stream.json_line(_document(*one)) for one in kept), at_once=wanted.follow)
    else:
        stream.write(_rendered(kept, fold=past), at_once=wanted.follow)


def _line(entry: Entry) -> lines.Line:
    return lines.parse(entry.message, entry.identifier, entry.priority)


def _rendered(kept: Iterable[tuple[Entry, lines.Line]], *, fold: bool) -> Iterator[str]:
    from k3s_rootless.cli.display import stream

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
