"""Access to a user manager that can be re-executed or restarted while K3s starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless.errors import BusError
from k3s_rootless.operations.readiness.phases import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.background import Followed
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class ReconnectingManager:
    """A user manager that is reconnected until `deadline` (time.monotonic); see wait.Watched.

    `name` is the unit that is watched.
    """

    def __init__(self, context: Context, manager: UserManager, deadline: float, name: str) -> None:
        self._context = context
        self._manager = manager
        self._deadline = deadline
        self._name = name
        self.journal: Followed[Cause | None] | None = None
        self.progress: Followed[float] | None = None

    def unit(self, name: str) -> UnitState:
        """Return the state of the unit. Raises BusError if there is no answer in time."""
        return self._queried(lambda: self._manager.unit(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the unit; a new connection to the manager counts as a change."""
        return self._queried(lambda: self._manager.wait_change(seconds))

    def stuck(self, key: str) -> bool:
        """Return whether the journal shows a cause that prevents K3s from reaching this phase.

        `key` is the key of the phase.
        """
        cause = self.journal.latest() if self.journal is not None else None
        return cause is not None and KEYS.index(key) >= KEYS.index(cause.waits)

    def last_progress(self) -> float | None:
        """Return when the journal showed progress last (time.monotonic).

        None if the progress is not followed.
        """
        if self.progress is None:
            return None
        return self.progress.latest()

    def _queried(self, query: Callable[[], T]) -> T:
        try:
            return query()
        except BusError as error:
            self._context.notice(
                f"lost the connection to the user manager ({error.message}); reconnecting"
            )
        pause = _FIRST_PAUSE
        while True:
            try:
                self._manager.reopen(self._name)
                return query()
            except BusError as error:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise BusError(
                        "lost the connection to the user manager, and cannot reconnect:"
                        f" {error.message}",
                        hint="log in again, then run: k3s-rootless status",
                    ) from error
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
