"""Check the ports repeatedly, and report changes.

The API server reports changes of Services. There are no events for forwards and sockets:
rootlesskit's API has none, and the kernel has none for listening sockets. So these are read every
400 ms, which takes a few milliseconds, and joined again only after a change. Signals of systemd end
a pause at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.ports import answer as answers
from k3s_rootless.operations.ports import changes, gather, sources
from k3s_rootless.operations.ports.followed_services import FollowedServices
from k3s_rootless.ports.facts import PortMap

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.ports.answer import Answer
    from k3s_rootless.operations.ports.changes import Change, Key, What
    from k3s_rootless.operations.ports.sources import Kit
    from k3s_rootless.operations.readiness.start import Start
    from k3s_rootless.ports.facts import Exposure, Sources
    from k3s_rootless.service.facts import UnitState

INTERVAL = 0.4


@dataclass(frozen=True, slots=True)
class Turn:
    """One check of a watch: the current result, and the changes since the previous turn.

    `table` are the rows with their recent changes, including removed rows. `is_update` is True if
    the table or the result differs from the previous turn.
    """

    time: datetime
    answer: Answer
    changes: tuple[Change, ...]
    table: tuple[tuple[What | None, Exposure], ...]
    is_first: bool = False
    is_update: bool = False


def turns(context: Context, *, everything: bool = False) -> Generator[Turn, None, None]:
    """Yield a turn at once, and then one at least every 400 ms, without an end.

    Raises NotRunning if K3s does not run at the beginning, RootlessError.
    """
    with context.manager() as manager:
        watch = _Watch(context, everything=everything)
        state = context.k3s_unit(manager)
        sources.require_running(state)
        manager.watch(state.name)
        while True:
            yield watch.turn(state)
            if manager.wait_change(INTERVAL):
                state = manager.unit(state.name)


class _Watch:
    """The sources of the last check, and the results from them."""

    def __init__(self, context: Context, *, everything: bool) -> None:
        self._context = context
        self._everything = everything
        self._start: Start | None = None
        self._followed: FollowedServices | None = None
        self._sources: Sources | None = None
        self._rows: dict[Key, Exposure] = {}
        self._marks = changes.Marks()
        self._last: Turn | None = None

    def turn(self, state: UnitState) -> Turn:
        """Check once, and return the changes."""
        self._follow(state)
        observed = self._read()
        if self._last is None or observed != self._sources:
            self._sources = observed
            turn = self._after(observed, is_first=self._last is None)
        else:
            turn = self._at_rest(self._last)
        self._last = turn
        return turn

    def _after(self, observed: Sources, *, is_first: bool) -> Turn:
        answer = answers.of_all(self._joined(observed), gather.addresses())
        before, self._rows = self._rows, changes.by_key(answer.rows)
        found: tuple[Change, ...] = ()
        if not is_first:
            found = changes.compared(before, self._rows)
        now = time.monotonic()
        self._marks.expire(now)
        self._marks.add(found, now)
        table = self._marks.table(answer.rows)
        return Turn(_now(), answer, found, table, is_first=is_first, is_update=True)

    def _at_rest(self, last: Turn) -> Turn:
        expired = self._marks.expire(time.monotonic())
        table = last.table
        if expired:
            table = self._marks.table(last.answer.rows)
        return Turn(_now(), last.answer, (), table, is_update=expired)

    def _joined(self, observed: Sources) -> PortMap:
        if self._start is None:
            return PortMap((), None, (("unit", sources.NOT_RUNNING),))
        running = sources.running(self._start)
        return gather.joined(observed, running, everything=self._everything)

    def _follow(self, state: UnitState) -> None:
        # A restart creates another namespace, another kubeconfig and, in older releases, another
        # socket.
        same = self._start is not None and self._start.state.invocation == state.invocation
        if same and state.running:
            return
        if self._followed is not None:
            self._followed.stop()
        self._start = self._followed = None
        if state.running:
            self._start = sources.start_of(self._context, state)
            self._followed = FollowedServices(self._start)

    def _read(self) -> Sources:
        nothing = Unknown(sources.NOT_RUNNING)
        if self._start is None or self._followed is None:
            return sources.without_k3s(sources.NOT_RUNNING, nothing)
        kit = sources.read_rootlesskit(self._start)
        if isinstance(kit.forwards, Unknown):
            self._start.rootlesskit = None
        host = sources.read_host()
        return sources.combined(_sorted(kit), self._followed.current(), host)


def _sorted(kit: Kit) -> Kit:
    # rootlesskit lists the forwards in a different order each time.
    if isinstance(kit.forwards, Unknown):
        return kit
    forwards = tuple(sorted(kit.forwards.value, key=astuple))
    return replace(kit, forwards=Known(forwards, kit.forwards.source))


def _now() -> datetime:
    return datetime.now().astimezone()
