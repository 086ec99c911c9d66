"""`k3s-rootless ports --watch`: the same answer, again and again, as it changes.

Services come by a watch on the API server. Of forwards and sockets nobody tells: rootlesskit's API
has no events, and the kernel none for sockets that listen. Those are read again every 400 ms, which
takes some milliseconds, and joined anew only if something is different. systemd's signals end a
turn at once.
"""

from __future__ import annotations

import threading
from dataclasses import astuple
from typing import TYPE_CHECKING

from k3s_rootless.cli.display import ports_changes
from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.linux import sockets
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.ports import sources as ports_sources
from k3s_rootless.operations.readiness.conditions import Start
from k3s_rootless.paths import UNIT
from k3s_rootless.ports.facts import PortMap, Sources
from k3s_rootless.ports.rules import exposure
from k3s_rootless.ports.sources import services
from k3s_rootless.service.observe.files import release_of

if TYPE_CHECKING:
    from k3s_rootless.cli.display.ports_changes import Teller
    from k3s_rootless.cli.session import Session
    from k3s_rootless.ports.facts import Exposure, ServicePort
    from k3s_rootless.ports.sources.wire import Event
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

INTERVAL = 0.4
_PAUSE = 0.5
"""Seconds before the API server is asked again after it broke off, or refused."""


class Followed:
    """The Services of the cluster as a thread of its own follows them; it begins anew whenever the
    API server breaks off.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._groups: dict[tuple[str, str], tuple[ServicePort, ...]] | Unknown = Unknown(
            "the API server has not answered yet"
        )
        self._seen: Observed[tuple[ServicePort, ...]] | None = None
        self._lock = threading.Lock()
        self._listed = threading.Event()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="services", daemon=True).start()

    def seen(self) -> Observed[tuple[ServicePort, ...]]:
        """Give what is known by now; the first time, wait until something is."""
        self._listed.wait(ports_sources.ASK_SECONDS)
        with self._lock:
            if self._seen is None:
                groups = self._groups
                known = () if isinstance(groups, Unknown) else groups.values()
                flat = tuple(port for group in known for port in group)
                self._seen = (
                    groups if isinstance(groups, Unknown) else Known(flat, "the API server")
                )
            return self._seen

    def stop(self) -> None:
        """Let the thread end when its connection next does; nobody waits for it."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                version = self._list()
                while version and not self._stopped.is_set():
                    version = services.follow(self._start.find_api(), version, self._take)
                    # A server that ends each watch at once must not be asked a thousand times a
                    # second.
                    self._stopped.wait(0.05)
            except RootlessError as error:
                self._start.api = None
                self._put(Unknown(error.message))
            self._stopped.wait(_PAUSE)

    def _list(self) -> str:
        listing = services.listing(self._start.find_api(), ports_sources.ASK_SECONDS)
        groups: dict[tuple[str, str], list[ServicePort]] = {}
        for one in listing.ports:
            groups.setdefault((one.namespace, one.service), []).append(one)
        self._put({key: tuple(group) for key, group in groups.items()})
        return listing.version

    def _take(self, event: Event) -> None:
        with self._lock:
            if isinstance(self._groups, Unknown):
                return
            if event.kind == "DELETED":
                self._groups.pop(event.key, None)
            else:
                self._groups[event.key] = event.ports
            self._seen = None

    def _put(self, groups: dict[tuple[str, str], tuple[ServicePort, ...]] | Unknown) -> None:
        with self._lock:
            self._groups, self._seen = groups, None
        self._listed.set()


class Watch:
    """What was told last, and the sources that it came from."""

    def __init__(self, session: Session, teller: Teller, *, everything: bool) -> None:
        self._context = session
        self._teller = teller
        self._everything = everything
        self._sources: Sources | None = None
        self._rows: dict[tuple[object, ...], Exposure] | None = None
        self._start: Start | None = None
        self._followed: Followed | None = None

    def turn(self, state: UnitState) -> None:
        """Look once, and tell what is different."""
        self._settle(state)
        sources = self._look()
        if sources == self._sources:
            self._teller.rest()
            return
        self._sources = sources
        if self._start is None:
            found = PortMap((), None, (("unit", ports_sources.NOT_RUNNING),))
        else:
            of = ports_sources.running(self._start)
            found = exposure.join(
                ports_sources.identified(sources, of), of, everything=self._everything
            )
        before, self._rows = self._rows, ports_changes.rows_of(found)
        self._teller.tell(
            found, None if before is None else ports_changes.compared(before, self._rows)
        )

    def _settle(self, state: UnitState) -> None:
        # A restart brings another namespace, another socket in older releases, and another
        # kubeconfig.
        same = self._start is not None and self._start.state.invocation == state.invocation
        if same and state.running:
            return
        if self._followed is not None:
            self._followed.stop()
        self._start = (
            Start.of(self._context, state, release_of(state.fragment)) if state.running else None
        )
        self._followed = Followed(self._start) if self._start is not None else None

    def _look(self) -> Sources:
        nothing = Unknown(ports_sources.NOT_RUNNING)
        if self._start is None or self._followed is None:
            return Sources(nothing, nothing, nothing, nothing)
        forwards, inside, dials = ports_sources.ask_rootlesskit(self._start)
        if isinstance(forwards, Unknown):
            self._start.rootlesskit = None
        host = ports_sources.ask_host()
        if isinstance(forwards, Known):
            # rootlesskit lists them in an order of its own each time.
            forwards = Known(tuple(sorted(forwards.value, key=astuple)), forwards.source)
        return Sources(
            forwards,
            self._followed.seen(),
            host,
            inside,
            dials,
            unprivileged_from=sockets.unprivileged_from(),
        )


def run(session: Session, *, everything: bool) -> None:
    """Watch until interrupted, or until nobody reads any more.

    Raises NotRunning when K3s does not run to begin with.
    """
    with session.manager() as manager, ports_changes.teller(session.report) as teller:
        watch = Watch(session, teller, everything=everything)
        state = manager.unit(UNIT)
        if not state.running:
            raise NotRunning(
                "K3s is not running, so nothing is forwarded", hint="start it with: k3s-rootless up"
            )
        manager.watch(UNIT)
        while not session.report.reader_left():
            watch.turn(state)
            state = _next(manager, state)


def _next(manager: UserManager, state: UnitState) -> UnitState:
    return manager.unit(UNIT) if manager.wait_change(INTERVAL) else state
