"""The Services of the cluster, kept up to date by a thread."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from k3s_rootless.background import Followed
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
_Result = _Groups | Unknown


class FollowedServices:
    """The ports of all Services; listed again whenever the API server ends the watch."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._current: Observed[tuple[ServicePort, ...]] | None = None
        self._lock = threading.Lock()
        first = Unknown("the API server has not answered yet")
        self._groups = Followed[_Result]("services", first, self._follow)

    def current(self) -> Observed[tuple[ServicePort, ...]]:
        """Return the current ports; the first call waits for the first answer."""
        self._groups.latest(SECONDS)
        with self._lock:
            if self._current is None:
                self._current = _flat(self._groups.latest())
            return self._current

    def stop(self) -> None:
        """Let the thread end after its current connection, without waiting for it."""
        self._groups.stop()

    def _follow(self, groups: Followed[_Result]) -> None:
        while not groups.pause(0):
            try:
                self._watch(groups)
            except RootlessError as error:
                self._start.api = None
                self._put(groups, Unknown(error.message))
            groups.pause(_PAUSE)

    def _watch(self, groups: Followed[_Result]) -> None:
        take = partial(self._take, groups)
        version = self._list(groups)
        while version and not groups.pause(0):
            version = services.follow(self._start.find_api(), version, take)
            # Limits the number of queries to an API server that ends each watch at once.
            groups.pause(0.05)

    def _list(self, groups: Followed[_Result]) -> str:
        listing = services.listing(self._start.find_api(), SECONDS)
        listed: dict[tuple[str, str], list[ServicePort]] = {}
        for one in listing.ports:
            listed.setdefault((one.namespace, one.service), []).append(one)
        self._put(groups, {key: tuple(group) for key, group in listed.items()})
        return listing.version

    def _take(self, groups: Followed[_Result], event: Event) -> None:
        with self._lock:
            current = groups.latest()
            if isinstance(current, Unknown):
                return
            if event.kind == "DELETED":
                current.pop(event.key, None)
            else:
                current[event.key] = event.ports
            self._current = None

    def _put(self, groups: Followed[_Result], found: _Result) -> None:
        with self._lock:
            groups.put(found)
            self._current = None


def _flat(groups: _Result) -> Observed[tuple[ServicePort, ...]]:
    if isinstance(groups, Unknown):
        return groups
    return Known(tuple(port for group in groups.values() for port in group), "the API server")
