"""Show the results of `status --watch`.

On a terminal they are redrawn in place; otherwise, each change is a line or a JSON document.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless.cli.display import status
from k3s_rootless.errors import NotRunning
from k3s_rootless.observation import Known
from k3s_rootless.operations.status import document as status_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cli.display.terminal import Screen
    from k3s_rootless.operations.status.model import Seen


def show(report: Report, looks: Iterable[Seen | NotRunning]) -> None:
    """Show each result as it arrives."""
    if report.json_for is not None:
        _show_each(_Documents(report), looks)
    elif report.on_terminal():
        _draw(report.screen(), looks)
    else:
        _show_each(_Lines(report), looks)


def _show_each(shown: _Documents | _Lines, looks: Iterable[Seen | NotRunning]) -> None:
    for seen in looks:
        if isinstance(seen, NotRunning):
            shown.absence(seen)
        else:
            shown.look(seen)


def _draw(opened: AbstractContextManager[Screen], looks: Iterable[Seen | NotRunning]) -> None:
    with opened as screen:
        for seen in looks:
            if isinstance(seen, NotRunning):
                screen.show([seen.message, seen.hint or ""], hang=2)
            else:
                screen.show([*status.lines(seen), *_lost(seen)], status.LABEL)


def _lost(seen: Seen) -> Iterator[str]:
    if seen.problem is not None:
        yield f"error        {seen.problem.message}"


class _Manager:
    """Reports that the user manager is lost, and that it responds again."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lost = ""

    def look(self, seen: Seen) -> None:
        lost = "" if seen.problem is None else seen.problem.message
        if lost == self._lost:
            return
        self._lost = lost
        if lost:
            self._report.story(f"lost the connection to the user manager: {lost}")
        else:
            self._report.story("reconnected to the user manager")


class _Documents:
    """Prints a JSON document on a line if more than time and resource usage changed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._manager = _Manager(report)
        self._last = ""

    def look(self, seen: Seen) -> None:
        self._manager.look(seen)
        content = status_document.document(seen)
        compared = status_document.without_usage(content)
        if compared != self._last:
            self._report.document_line(content)
        self._last = compared

    def absence(self, error: NotRunning) -> None:
        content = status_document.absence(error)
        if repr(content) != self._last:
            self._report.document_line(content)
        self._last = repr(content)


class _Lines:
    """Prints a line with the time for each fact that changed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._manager = _Manager(report)
        self._last: dict[str, str] = {}

    def look(self, seen: Seen) -> None:
        self._manager.look(seen)
        facts = dict(_facts(seen))
        for name, text in facts.items():
            if self._last.get(name) != text:
                self._report.answer(f"{_now()} {name}: {text}")
        for name in self._last.keys() - facts.keys():
            self._report.answer(f"{_now()} {name}: -")
        self._last = facts

    def absence(self, error: NotRunning) -> None:
        if self._last.get("K3s") != error.message:
            self._last = {"K3s": error.message}
            self._report.answer(f"{_now()} K3s: {error.message}")


def _facts(seen: Seen) -> Iterator[tuple[str, str]]:
    """Yield the facts with visible changes; values that grow continuously are left out."""
    yield "K3s", status.headline(seen)
    state = seen.state
    if state is not None:
        invocation = state.invocation or "-"
        yield "unit", f"{state.active_state} ({state.sub_state}), invocation {invocation}"
        yield "restarts", str(state.restarts)
    cause = seen.died_of
    if cause is not None:
        yield ("earlier" if cause.earlier else "cause"), cause.title
    if isinstance(seen.kit, Known):
        yield "forwards", str(len(seen.kit.value.forwards))
    if seen.pending:
        yield "pending", "; ".join(map(status.required, seen.pending))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
