"""Find why the last start failed, with the rules of `diagnose`.

The host is not examined as in `diagnose`, because that takes seconds.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.journal import verdict
from k3s_rootless.observation import Known, Observed
from k3s_rootless.operations.diagnose import ending, history
from k3s_rootless.operations.status.open_queries import OpenQueries, within

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_JOURNAL = "the journal"


def cause_of(context: Context, state: UnitState) -> Cause | None:
    """Return the cause that systemd or the journal shows; None if neither does.

    Raises RootlessError if they cannot be read.
    """
    end = ending.of(state)
    broken = verdict.of_unit(end)
    if broken is not None:
        return broken
    return verdict.of_log(history.of(context, state, None, ready=False), end)


class LastFailure:
    """The seconds between two restarts, and the cause of the last failure.

    The journal is read again only after the unit has changed, because a watch checks every second.
    """

    def __init__(self, context: Context, open_queries: OpenQueries) -> None:
        self._context = context
        self._queries = open_queries
        self._known_for: Hashable = None
        self._key: Hashable = None
        self._period: BackgroundQuery[Observed[float | None]] | None = None
        self._cause: BackgroundQuery[Observed[Cause | None]] | None = None
        self._answers: tuple[Observed[float | None], Observed[Cause | None]] | None = None

    def begin(self, state: UnitState) -> None:
        """Start to read the journal, unless it was read for this state of the unit."""
        # The last lines of a start can arrive after its end, so the first answer may change.
        fresh = _is_fresh(state)
        key = (state.invocation, state.restarts, state.active_state, state.sub_state, fresh)
        self._key = key
        if self._known_for == key:
            return
        self._period = self._queries.begin(f"restarts {key}", self._read_period)
        self._cause = self._queries.begin(f"cause {key}", lambda: self._read_cause(state))
        self._answers = None

    def answers(
        self, deadline: float
    ) -> tuple[Observed[float | None] | None, Observed[Cause | None] | None]:
        """Return the seconds between two restarts and the cause, if they are read by `deadline`."""
        if self._answers is not None:
            return self._answers
        if self._period is None or self._cause is None:
            return None, None
        period = within(self._period, deadline, _JOURNAL)
        cause = within(self._cause, deadline, _JOURNAL)
        if isinstance(period, Known) and isinstance(cause, Known):
            self._known_for, self._answers = self._key, (period, cause)
        else:
            self._known_for = None
        return period, cause

    def _read_period(self) -> Observed[float | None]:
        return Known(history.period(self._context), _JOURNAL)

    def _read_cause(self, state: UnitState) -> Observed[Cause | None]:
        return Known(cause_of(self._context, state), _JOURNAL)


def _is_fresh(state: UnitState) -> bool:
    if state.changed is None:
        return False
    age = (datetime.now(UTC) - state.changed).total_seconds()
    return abs(age) < history.SETTLE_SECONDS
