"""Check the conditions of a start in a thread, one after the other.

A query without an answer (an API server that accepts connections and never replies) does not delay
the report that the unit failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from k3s_rootless.background import Followed
from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.operations.readiness.wait import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, Condition


class _Result(NamedTuple):
    missing: str | None
    checked: bool


_Results = Mapping[str, _Result]
_NOT_CHECKED = _Result("not checked yet", checked=False)
# A query may stay without an answer for as long as the caller waits.
_NO_ANSWER = _Result("no answer yet", checked=False)


class Observer:
    """The latest result of each condition; `wake` is called after each reached phase."""

    def __init__(self, conditions: Sequence[Condition], wake: Callable[[], object]) -> None:
        self._conditions = tuple(conditions)
        self._wake = wake
        first: _Results = {one.phase.key: _NOT_CHECKED for one in conditions}
        self._results = Followed("observer", first, self._follow, on_failure=wake)

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions with their latest results; checking these never blocks."""
        return tuple(
            Condition(
                one.phase,
                partial(self._missing, one.phase.key),
                checked=partial(self._checked, one.phase.key),
            )
            for one in self._conditions
        )

    def waits_for(self) -> tuple[Phase, str] | None:
        """Return the first phase that is not reached, and what is missing; None after the last."""
        results = self._results.latest()
        for one in self._conditions:
            missing = results[one.phase.key].missing
            if missing is not None:
                return one.phase, missing
        return None

    def stop(self) -> None:
        """Stop checking, without waiting for the answer to an open query."""
        self._results.stop()

    def _missing(self, key: str) -> str | None:
        return self._results.latest()[key].missing

    def _checked(self, key: str) -> bool:
        return self._results.latest()[key].checked

    def _follow(self, results: Followed[_Results]) -> None:
        for condition in self._conditions:
            results.put({**results.latest(), condition.phase.key: _NO_ANSWER})
            if not self._reach(condition, results):
                return

    def _reach(self, condition: Condition, results: Followed[_Results]) -> bool:
        """Check until nothing is missing; return False if stopped before that."""
        pause = FIRST_PAUSE
        while not results.pause(0):
            missing = condition.missing()
            result = _Result(missing, checked=True)
            results.put({**results.latest(), condition.phase.key: result})
            if missing is None:
                self._wake()
                return True
            if condition.wait is None:
                results.pause(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
            elif condition.wait(pause):
                # A socket is created shortly before its process listens on it, so the next check is
                # soon.
                pause = FIRST_PAUSE
            else:
                pause = min(pause * 1.5, PATIENCE)
        return False
