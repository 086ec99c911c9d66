"""Find what prevents a running K3s, which systemd has not restarted, from becoming ready."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless import background
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed
from k3s_rootless.operations.diagnose import start_log

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_SECONDS = 5.0
_MOST_TURNS = 60


class Stuck:
    """The fatal cause in the log lines of a running K3s.

    The journal is read again only every few seconds, and only in the first minutes of a start: a
    watch checks every second, the journal may be long, and K3s logs early what it waits for.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = ("", 0)
        self._task: BackgroundQuery[Cause | None] | None = None

    def cause(self, state: UnitState, deadline: float) -> Observed[Cause | None] | None:
        """Return the cause in the lines of this start; None if they are not read by `deadline`."""
        task = self._begin(state)
        try:
            return Known(background.answer(task, deadline), "the journal")
        except RootlessError:
            return None

    def _begin(self, state: UnitState) -> BackgroundQuery[Cause | None]:
        turn = (state.invocation, min(int(_age(state) / _SECONDS), _MOST_TURNS))
        task = self._task
        same_start = self._turn[0] == turn[0]
        # A pending query is not repeated for the same start, and is not used for another start.
        if task is not None and same_start and (self._turn == turn or task.running):
            return task
        self._turn = turn
        self._task = background.begin(lambda: self._fatal(state))
        return self._task

    def _fatal(self, state: UnitState) -> Cause | None:
        cause = start_log.read(self._context, state.invocation, ready=False).cause
        if cause is None or not cause.fatal:
            return None
        return cause


def _age(state: UnitState) -> float:
    if state.started is None:
        return 0.0
    return (datetime.now(UTC) - state.started).total_seconds()
