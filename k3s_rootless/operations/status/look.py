"""Takes one look at K3s: asks the user manager first, and loads the rest while it answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from k3s_rootless.errors import BusError, RootlessError
from k3s_rootless.operations.status.asking import Asking
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import process

if TYPE_CHECKING:
    from k3s_rootless.background import Asked
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.status.model import Seen
    from k3s_rootless.operations.status.observer import Observer
    from k3s_rootless.service.facts import UnitState

SECONDS = 0.7
"""What a question may take: the user manager first and then all others, that is twice this, and a
start of Python, in 2 s.
"""
MOST_SECONDS = 5.0
_SLOWNESS = 3.0


def patience() -> float:
    """Return the seconds for a question on this machine: where Python took long to start (an
    emulated or busy machine), others answer slowly, too.
    """
    taken = process.elapsed(os.getpid())
    if taken is None:
        return SECONDS
    return min(MOST_SECONDS, max(SECONDS, _SLOWNESS * taken.total_seconds()))


def preload() -> None:
    """Load what reads and judges the answers, ssl and an HTTP client among it: 50 ms, in which the
    user manager answers.
    """
    from k3s_rootless.operations.status import observer  # noqa: F401


class Look:
    """One look, and for a watch one after the other; a question that hangs is not asked a second
    time.
    """

    def __init__(
        self,
        context: Context,
        ask_unit: Callable[[], UnitState] | None = None,
        *,
        seconds: float = 0.0,
    ) -> None:
        self._context = context
        self._ask_unit = ask_unit or self._unit
        self._asking = Asking()
        self._seconds = seconds
        self._observer: Observer | None = None

    def take(self) -> Seen:
        """Return the record of one look. Raises NotRunning if K3s is not installed."""
        self._asking.drop_answered()
        unit = self._asking.begin("unit", self._ask_unit)
        preload()
        # Measured once for all looks of a watch: the age of its process says nothing later.
        self._seconds = self._seconds or patience()
        try:
            state = self._state(unit)
        except RootlessError as error:
            if self._context.uid == 0:
                # The error says that root has no cluster: the other questions make no sense.
                raise
            return self._observed(None, error)
        return self._observed(state, None)

    def _state(self, asked: Asked[UnitState]) -> UnitState:
        try:
            return asked.result(self._seconds)
        except TimeoutError:
            why = f"cannot talk to the user manager: no answer within {self._seconds:.1f} s"
            raise BusError(why, hint="see how it fares: systemctl --user status") from None

    def _observed(self, state: UnitState | None, problem: RootlessError | None) -> Seen:
        if state is not None and not state.installed:
            # Loaded only here: nothing is left to observe.
            from k3s_rootless.operations.installation import absence

            raise absence(state)
        # Loaded by `preload`.
        from k3s_rootless.operations.status.observer import Observer

        if self._observer is None:
            self._observer = Observer(self._context, self._asking, self._seconds)
        return self._observer.seen(state, problem)

    def _unit(self) -> UnitState:
        return self._context.unit(UNIT)
