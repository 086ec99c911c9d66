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
    from k3s_rootless.operations.status.model import Snapshot


def show(report: Report, snapshots: Iterable[Snapshot | NotRunning]) -> None:
    """Show each result as it arrives."""
    if report.json_for is not None:
        _show_each(_Documents(report), snapshots)
    elif report.on_terminal():
        _draw(report.screen(), snapshots)
    else:
        _show_each(_Lines(report), snapshots)


def _show_each(shown: _Documents | _Lines, snapshots: Iterable[Snapshot | NotRunning]) -> None:
    for snapshot in snapshots:
        if isinstance(snapshot, NotRunning):
            shown.absence(snapshot)
        else:
            shown.show(snapshot)


def _draw(
    opened: AbstractContextManager[Screen], snapshots: Iterable[Snapshot | NotRunning]
) -> None:
    with opened as screen:
        for snapshot in snapshots:
            if isinstance(snapshot, NotRunning):
                screen.show([snapshot.message, snapshot.hint or ""], hang=2)
            else:
                screen.show([*status.lines(snapshot), *_lost(snapshot)], status.LABEL)


def _lost(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.problem is not None:
        yield f"error        {snapshot.problem.message}"


class _Manager:
    """Reports that the user manager is lost, and that it responds again."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lost = ""

    def show(self, snapshot: Snapshot) -> None:
        lost = "" if snapshot.problem is None else snapshot.problem.message
        if lost == self._lost:
            return
        self._lost = lost
        if lost:
            self._report.notice(f"lost the connection to the user manager: {lost}")
        else:
            self._report.notice("reconnected to the user manager")


class _Documents:
    """Prints a JSON document on a line if more than time and resource usage changed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._manager = _Manager(report)
        self._last = ""

    def show(self, snapshot: Snapshot) -> None:
        self._manager.show(snapshot)
        content = status_document.document(snapshot)
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

    def show(self, snapshot: Snapshot) -> None:
        self._manager.show(snapshot)
        facts = dict(_facts(snapshot))
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


def _facts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the facts with visible changes; values that grow continuously are left out."""
    yield "K3s", status.headline(snapshot)
    state = snapshot.state
    if state is not None:
        invocation = state.invocation or "-"
        yield "unit", f"{state.active_state} ({state.sub_state}), invocation {invocation}"
        yield "restarts", str(state.restarts)
    cause = snapshot.failure_cause
    if cause is not None:
        yield ("earlier" if cause.earlier else "cause"), cause.title
    if isinstance(snapshot.kit, Known):
        yield "forwards", str(len(snapshot.kit.value.forwards))
    if snapshot.pending:
        yield "pending", "; ".join(map(status.required, snapshot.pending))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
