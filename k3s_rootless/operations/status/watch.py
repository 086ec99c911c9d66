"""Check K3s for `status --watch` whenever its unit changes, and at least every second.

The user manager sends a signal for each change of the unit. There are no signals for readiness,
forwards and memory. A separate thread keeps the connection to the user manager, so that a bus
without an answer delays only the state of the unit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Union

from k3s_rootless.background import Followed
from k3s_rootless.errors import BusError, NotRunning, RootlessError
from k3s_rootless.operations.status.reader import Reader

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.status.model import Snapshot
    from k3s_rootless.service.facts import UnitState

INTERVAL = 1.0
_SHORTEST = 0.05
"""The minimum time in seconds between two checks, for any number of signals."""
_PAUSE = 0.5
"""The time in seconds before a lost user manager is queried again."""
_SILENCE = 2.0
"""The time in seconds without an answer after which the last answer is no longer valid."""

Answer = Union["UnitState", RootlessError]
"""The unit, or why there is no answer."""


def snapshots(context: Context, ended: Callable[[], bool]) -> Iterator[Snapshot | NotRunning]:
    """Yield a check repeatedly until `ended()`; yield NotRunning while K3s is not installed."""
    followed = FollowedUnit(context)
    reader = Reader(context, followed.state)
    while not ended():
        yield _read(reader)
        followed.changed.wait(INTERVAL)
        followed.changed.clear()
        time.sleep(_SHORTEST)


def _read(reader: Reader) -> Snapshot | NotRunning:
    try:
        return reader.read()
    except NotRunning as error:
        return error


class FollowedUnit:
    """The unit as the user manager reports it, kept up to date by a thread.

    The thread reconnects whenever the connection is lost.
    """

    def __init__(self, context: Context) -> None:
        self.changed = threading.Event()
        self._context = context
        self._query_began: float | None = None
        first = BusError("cannot query the user manager: no answer yet")
        self._answer = Followed[Answer]("unit", first, self._follow)

    def state(self) -> UnitState:
        """Return the last answer of the user manager; wait for the first one.

        Raises RootlessError if the connection is lost or there is no answer in time.
        """
        answer = self._answer.latest(_SILENCE)
        if self._query_began is not None and time.monotonic() - self._query_began > _SILENCE:
            raise BusError(f"cannot query the user manager: no answer within {_SILENCE:g} s")
        if isinstance(answer, RootlessError):
            raise answer
        return answer

    def _follow(self, answer: Followed[Answer]) -> None:
        while True:
            try:
                self._query_began = time.monotonic()
                self._query(answer)
            except RootlessError as error:
                self._put(answer, error)
            time.sleep(_PAUSE)

    def _query(self, answer: Followed[Answer]) -> None:
        with self._context.manager() as manager:
            manager.watch(self._context.k3s_unit(manager).name)
            while True:
                self._query_began = time.monotonic()
                self._put(answer, self._context.k3s_unit(manager))
                # Also queried without a signal: a re-executed user manager may have lost its
                # subscribers.
                manager.wait_change(2 * INTERVAL)

    def _put(self, answer: Followed[Answer], found: Answer) -> None:
        different = repr(found) != repr(answer.latest())
        self._query_began = None
        answer.put(found)
        if different:
            self.changed.set()
