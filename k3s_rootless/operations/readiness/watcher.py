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


class _Look(NamedTuple):
    missing: str | None
    looked: bool


_Looks = Mapping[str, _Look]
_NO_LOOK = _Look("nobody has looked yet", looked=False)
# A query may stay without an answer for as long as the caller waits.
_ASKED = _Look("it was asked, and has not answered yet", looked=False)


class Observer:
    """The latest result of each condition; `wake` is called after each reached phase."""

    def __init__(self, conditions: Sequence[Condition], wake: Callable[[], object]) -> None:
        self._conditions = tuple(conditions)
        self._wake = wake
        first: _Looks = {one.phase.key: _NO_LOOK for one in conditions}
        self._looks = Followed("observer", first, self._follow, on_failure=wake)

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions with their latest results; checking these never blocks."""
        return tuple(
            Condition(
                one.phase,
                partial(self._missing, one.phase.key),
                looked=partial(self._looked, one.phase.key),
            )
            for one in self._conditions
        )

    def waits_for(self) -> tuple[Phase, str] | None:
        """Return the first phase that is not reached, and what is missing; None after the last."""
        looks = self._looks.latest()
        for one in self._conditions:
            missing = looks[one.phase.key].missing
            if missing is not None:
                return one.phase, missing
        return None

    def stop(self) -> None:
        """Stop checking, without waiting for the answer to an open query."""
        self._looks.stop()

    def _missing(self, key: str) -> str | None:
        return self._looks.latest()[key].missing

    def _looked(self, key: str) -> bool:
        return self._looks.latest()[key].looked

    def _follow(self, looks: Followed[_Looks]) -> None:
        for condition in self._conditions:
            looks.put({**looks.latest(), condition.phase.key: _ASKED})
            if not self._reach(condition, looks):
                return

    def _reach(self, condition: Condition, looks: Followed[_Looks]) -> bool:
        """Check until nothing is missing; return False if stopped before that."""
        pause = FIRST_PAUSE
        while not looks.pause(0):
            missing = condition.missing()
            looks.put({**looks.latest(), condition.phase.key: _Look(missing, looked=True)})
            if missing is None:
                self._wake()
                return True
            if condition.wait is None:
                looks.pause(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
            elif condition.wait(pause):
                # A socket is created shortly before its process listens on it, so the next check is
                # soon.
                pause = FIRST_PAUSE
            else:
                pause = min(pause * 1.5, PATIENCE)
        return False
