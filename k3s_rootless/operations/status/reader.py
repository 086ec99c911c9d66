"""Check K3s once: query the user manager, and import the other modules while it answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from k3s_rootless.errors import BusError, RootlessError
from k3s_rootless.operations.status.open_queries import OpenQueries
from k3s_rootless.service.observe import process

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.status.model import Snapshot
    from k3s_rootless.operations.status.observer import Observer
    from k3s_rootless.service.facts import UnitState

SECONDS = 0.7
"""The time limit of a query in seconds.

The user manager is queried first, then all others: twice this limit and the start of Python fit
into 2 s.
"""
MOST_SECONDS = 5.0
_SLOWNESS = 3.0


def patience() -> float:
    """Return the time limit of a query on this machine, in seconds.

    If the start of Python took long (on an emulated or busy machine), other programs answer slowly,
    too.
    """
    taken = process.elapsed(os.getpid())
    if taken is None:
        return SECONDS
    return min(MOST_SECONDS, max(SECONDS, _SLOWNESS * taken.total_seconds()))


def preload() -> None:
    """Import the modules that read and evaluate the answers, including ssl and an HTTP client.

    This takes 50 ms, during which the user manager answers.
    """
    from k3s_rootless.operations.status import observer  # noqa: F401 (imported for later)


class Reader:
    """One check of K3s, or repeated checks for a watch; a pending query is not repeated."""

    def __init__(
        self,
        context: Context,
        query_unit: Callable[[], UnitState] | None = None,
        *,
        seconds: float = 0.0,
    ) -> None:
        self._context = context
        self._query_unit = query_unit or self._unit
        self._queries = OpenQueries()
        self._seconds = seconds
        self._observer: Observer | None = None

    def read(self) -> Snapshot:
        """Return the record of one check. Raises NotRunning if K3s is not installed."""
        self._queries.drop_answered()
        unit = self._queries.begin("unit", self._query_unit)
        preload()
        # Measured once for all checks of a watch: later, the age of the process has no meaning.
        self._seconds = self._seconds or patience()
        try:
            state = self._state(unit)
        except RootlessError as error:
            if self._context.uid == 0:
                # The error is that root has no cluster, so the other queries have no meaning.
                raise
            return self._observed(None, error)
        return self._observed(state, None)

    def _state(self, task: BackgroundQuery[UnitState]) -> UnitState:
        try:
            return task.result(self._seconds)
        except TimeoutError:
            why = f"cannot query the user manager: no answer within {self._seconds:.1f} s"
            raise BusError(
                why, hint="check the user manager with: systemctl --user status"
            ) from None

    def _observed(self, state: UnitState | None, problem: RootlessError | None) -> Snapshot:
        if state is not None and not state.installed:
            # Imported here: only needed if there is nothing to observe.
            from k3s_rootless.operations.installation import absence

            raise absence(state)
        # Already imported by `preload`.
        from k3s_rootless.operations.status.observer import Observer

        if self._observer is None:
            self._observer = Observer(self._context, self._queries, self._seconds)
        return self._observer.snapshot(state, problem)

    def _unit(self) -> UnitState:
        return self._context.k3s_unit()
