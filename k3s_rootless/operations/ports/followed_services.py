"""The Services of the cluster, kept up to date by a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.ports.sources import SECONDS
from k3s_rootless.ports.sources import services

if TYPE_CHECKING:
    from k3s_rootless.operations.readiness.start import Start
    from k3s_rootless.ports.facts import ServicePort
    from k3s_rootless.ports.sources.wire import Event

_PAUSE = 0.5
"""The time in seconds before the API server is queried again after a closed or failed connection.
"""
_Groups = dict[tuple[str, str], tuple["ServicePort", ...]]
"""The ports of each Service, by namespace and name."""


class FollowedServices:
    """The ports of all Services; listed again whenever the API server ends the watch."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._groups: _Groups | Unknown = Unknown("the API server has not answered yet")
        self._seen: Observed[tuple[ServicePort, ...]] | None = None
        self._lock = threading.Lock()
        self._listed = threading.Event()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="services", daemon=True).start()

    def seen(self) -> Observed[tuple[ServicePort, ...]]:
        """Return the current ports; the first call waits for the first answer."""
        self._listed.wait(SECONDS)
        with self._lock:
            if self._seen is None:
                self._seen = self._flat()
            return self._seen

    def stop(self) -> None:
        """Let the thread end after its current connection, without waiting for it."""
        self._stopped.set()

    def _flat(self) -> Observed[tuple[ServicePort, ...]]:
        if isinstance(self._groups, Unknown):
            return self._groups
        ports = tuple(port for group in self._groups.values() for port in group)
        return Known(ports, "the API server")

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                version = self._list()
                while version and not self._stopped.is_set():
                    version = services.follow(self._start.find_api(), version, self._take)
                    # Limits the number of queries to an API server that ends each watch at once.
                    self._stopped.wait(0.05)
            except RootlessError as error:
                self._start.api = None
                self._put(Unknown(error.message))
            self._stopped.wait(_PAUSE)

    def _list(self) -> str:
        listing = services.listing(self._start.find_api(), SECONDS)
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

    def _put(self, groups: _Groups | Unknown) -> None:
        with self._lock:
            self._groups, self._seen = groups, None
        self._listed.set()
