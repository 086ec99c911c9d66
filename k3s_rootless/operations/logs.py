"""The lines that `logs` shows: filtered, in order, with a weight, in constant memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.journal import lines
from k3s_rootless.journal.facts import Entry, Query
from k3s_rootless.journal.sources import journald, log_file
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from datetime import datetime

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

QUIET = "quiet"
"""The weight of a debugging line, and of a line that is known to be harmless."""
_TAIL = 10
"""The default number of existing lines before new lines, as in journalctl and tail."""
_FILTERED_LINES = 100_000
"""The maximum number of lines kept to find the last lines of a level or component."""
_LONGEST_RECOGNISED = 4096
_UNPACKING = ('msg="Acquiring lock file ', 'msg="Preparing data dir ')
"""K3s writes these lines to the journal also if it has a log file, which it opens later."""
_DEBUGGING = frozenset({"trace", "debug"})


@dataclass(frozen=True, slots=True)
class Request:
    """The lines to return; by default, the lines of the current or last start.

    `previous` selects the start before that. `since` (a time in journalctl's format) and `boot`
    select all starts from that time on. `level` is the least serious level, `count` is the number
    of last lines, `grep` is a regular expression. `follow` adds new lines, including those of later
    starts. `file` selects the file that K3s writes with `--log`, in place of the journal.
    """

    previous: bool = False
    since: str | None = None
    boot: bool = False
    level: str | None = None
    component: str | None = None
    count: int | None = None
    grep: str | None = None
    follow: bool = False
    file: bool = False

    @property
    def filtered(self) -> bool:
        """Whether the last lines can be counted only after all lines were read."""
        return self.level is not None or self.component is not None or self.grep is not None

    @property
    def tail(self) -> int | None:
        """The number of existing lines to return; None for all lines."""
        if self.count is None and self.follow and self.since is None:
            return _TAIL
        return self.count

    def matches(self, line: lines.Line) -> bool:
        """Return whether a line has the requested component and level."""
        if self.component is not None and line.component != self.component:
            return False
        return self.level is None or lines.at_least(line.level, self.level)


class LogLine(NamedTuple):
    """One line of the log.

    `weight` is QUIET or the level of the line; empty if weights were not requested. This is a named
    tuple because creating a frozen dataclass takes four times as long.
    """

    entry: Entry
    line: lines.Line
    weight: str = ""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Marks the end of the existing lines; all lines after it are new."""


Record = LogLine | CaughtUp
Records = Generator[Record, None, None]
Search = Callable[[Iterable[Entry]], Iterable[Entry]]


def read(context: Context, request: Request, *, weighed: bool = False) -> Records:
    """Return the requested lines, the oldest first; new lines follow as soon as they are written.

    With `weighed`, each line has a weight; recognising lines takes twice as long as reading them.

    Raises NotRunning if there was no such start. Raises RootlessError, possibly during iteration,
    if this user cannot read the log.
    """
    if request.component == "containerd":
        records = _of_containerd(context, request)
    elif request.file:
        # Imported here: few users let K3s write a file.
        from k3s_rootless.operations import k3s_log

        path, started = k3s_log.located(context)
        records = _of_file(request, path, k3s_log.IDENTIFIER, started, _search(request.grep))
    else:
        records = _of_journal(context, request, _query(context, request))
    if weighed:
        return _weighed(records)
    return records


def journalctl(context: Context, request: Request) -> list[str]:
    """Return the journalctl command line that prints the requested lines.

    The level and the component are ignored. Raises RootlessError.
    """
    query = _query(context, request)
    if request.follow:
        query = replace(query, invocation=None)
    return journald.plain(query)


def document(one: LogLine) -> dict[str, Any]:
    """Return the JSON form of a line."""
    entry, line, _ = one
    return {
        "time": json_time(entry.time),
        "level": line.level,
        "component": line.component,
        "message": entry.message,
        "identifier": entry.identifier,
        "priority": entry.priority,
        "pid": entry.pid,
        "invocation": entry.invocation,
        "cursor": entry.cursor,
    }


def _query(context: Context, request: Request) -> Query:
    invocation = None
    if not request.since and not request.boot:
        invocation = _invocation(context, previous=request.previous)
    return Query(
        context.uid,
        invocation,
        request.count,
        request.since,
        boot=request.boot,
        follow=request.follow,
        grep=request.grep,
    )


def _invocation(context: Context, *, previous: bool) -> str:
    with context.manager() as manager:
        current = context.k3s_unit(manager).invocation
    if current and not previous:
        return current
    earlier = [one for one in journald.invocations(context.uid) if one != current]
    if not earlier:
        why = "the journal contains no start of K3s"
        if previous:
            why = "the journal contains no start before this one"
        raise NotRunning(
            why, hint="show all lines in the journal with: k3s-rootless logs --since 1970-01-01"
        )
    if not previous:
        context.notice("the K3s unit is not loaded; showing the log of its last start")
    return earlier[-1]


def _of_journal(context: Context, request: Request, query: Query) -> Records:
    with journald.read(_existing(request, query)) as reading:
        passed = _Passed(reading)
        found = _matching(request, passed)
        if request.filtered:
            yield from _last(found, request.tail)
        else:
            yield from found
    if passed.empty and _expects_lines(request, query) and journald.hidden():
        # The journal always contains systemd's own messages about a start. If the disk holds old
        # journal files, journalctl does not see a new journal in memory.
        context.notice(
            f"this user cannot read any line of this start in the journal\n{journald.HINT}"
        )
    elif not passed.of_k3s and _expects_lines(request, query):
        # Imported here, as in `read`.
        from k3s_rootless.operations import k3s_log

        k3s_log.notice(context)
    if request.follow:
        yield CaughtUp()
        with journald.read(_new(query, passed.cursor)) as reading:
            yield from _matching(request, reading)


def _expects_lines(request: Request, query: Query) -> bool:
    return query.invocation is not None and request.grep is None and request.count != 0


def _existing(request: Request, query: Query) -> Query:
    count = request.tail
    if request.filtered:
        # journalctl cannot count the lines that match our filters, and it prints the last lines
        # that match a pattern in reverse order (journalctl(1), --grep with --lines).
        count = None
    return replace(query, follow=False, lines=count)


def _new(query: Query, cursor: str | None) -> Query:
    # All later starts are followed, so that the user sees a failed K3s start again.
    query = replace(query, invocation=None, lines=None)
    if cursor is not None:
        return replace(query, since=None, after=cursor, whole=True)
    if query.since is not None:
        return replace(query, whole=True)
    return replace(query, lines=0)


def _of_containerd(context: Context, request: Request) -> Records:
    state, path = _containerd_file(context)
    if not path.exists():
        hint: str | None = "start K3s with: k3s-rootless up"
        if state is not None and state.running:
            hint = None
        raise NotRunning(f"containerd has not written a log: {path} does not exist", hint=hint)
    started = state.started if state is not None else None
    return _of_file(request, path, "containerd", started, _search(request.grep))


def _of_file(
    request: Request, path: Path, program: str, started: datetime | None, search: Search
) -> Records:
    with log_file.Reading(path, program) as reading:
        existing = search(log_file.since(reading, started))
        yield from _last(_matching(request, existing), request.tail)
    if request.follow:
        yield CaughtUp()
        with log_file.Reading(path, program, start=reading.end, follow=True) as coming:
            yield from _matching(request, search(coming))


def _containerd_file(context: Context) -> tuple[UnitState | None, Path]:
    # Imported here: only this component needs the settings of K3s, and they take 11 ms to load.
    from k3s_rootless.operations import server_settings

    try:
        state = context.k3s_unit()
    except RootlessError as error:
        context.notice(
            f"{error.message}; reading the log of all starts in the default data directory"
        )
        return None, context.paths.data / log_file.CONTAINERD
    return state, server_settings.of(context, state).data / log_file.CONTAINERD


def _search(pattern: str | None) -> Search:
    if pattern is None:
        return iter
    # As in journalctl, a pattern without capital letters ignores case.
    flags = re.IGNORECASE if pattern == pattern.lower() else 0
    try:
        compiled = re.compile(pattern, flags)
    except re.error as error:
        raise UsageError(f"cannot search for `{pattern}`: {error}") from None
    return lambda entries: (entry for entry in entries if compiled.search(entry.message))


class _Passed:
    """An iterator of entries that keeps the cursor of the last entry it returned."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.empty = True
        self.of_k3s = False
        self.cursor: str | None = None
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            self.empty = False
            self.of_k3s = self.of_k3s or _is_of_server(entry)
            self.cursor = entry.cursor
            yield entry


def _is_of_server(entry: Entry) -> bool:
    if entry.identifier == "systemd":
        return False
    return not any(text in entry.message for text in _UNPACKING)


def _matching(request: Request, entries: Iterable[Entry]) -> Iterator[LogLine]:
    for entry in entries:
        line = lines.parse(entry.message, entry.identifier, entry.priority)
        if request.matches(line):
            yield LogLine(entry, line)


def _last(found: Iterable[LogLine], count: int | None) -> Iterable[LogLine]:
    if count is None:
        return found
    return deque(found, maxlen=min(count, _FILTERED_LINES))


def _weighed(records: Iterable[Record]) -> Records:
    # Imported here: only a terminal needs weights, and the catalogue takes 20 ms to load.
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.catalogue import Weight

    harmless = {Weight.BENIGN, Weight.NOTE}
    for record in records:
        if isinstance(record, CaughtUp):
            yield record
            continue
        entry, line, _ = record
        weight = line.level
        if weight in _DEBUGGING:
            weight = QUIET
        else:
            known = diagnosis.recognise(diagnosis.normal(line.text[:_LONGEST_RECOGNISED]))
            if known is not None and (known[1].weight or known[0].weight) in harmless:
                weight = QUIET
        yield LogLine(entry, line, weight)
