"""The ports of all Services of the cluster, listed once or watched at the API server.

Services are requested in pages of 500, as kubectl does, so that a cluster of 10,000 Services stalls
neither its API server nor this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from k3s_rootless.errors import PeerError
from k3s_rootless.ports.facts import PodPort, ServicePort
from k3s_rootless.ports.sources import wire
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from k3s_rootless.rest import Peer

T = TypeVar("T")
PAGE = 500
WATCH_SECONDS = 240
"""How long one watch lasts; the API server then ends it, and the next watch continues there."""
_SERVICES = "/api/v1/services"
_PODS = "/api/v1/pods"
_GONE = 410
_CHANGES = frozenset({"ADDED", "MODIFIED"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The ports of all Services, and the version of the cluster's state where a watch continues."""

    ports: tuple[ServicePort, ...]
    version: str


def service_ports(peer: Peer, timeout: float) -> tuple[ServicePort, ...]:
    """Return the ports of the Services of all namespaces, in the order of the API server.

    `timeout` is in seconds, for all pages together. Raises PeerError with the message of the API
    server's Status.
    """
    return listing(peer, timeout).ports


def listing(peer: Peer, timeout: float) -> Listing:
    """Return what `service_ports` returns, and the version."""
    deadline = time.monotonic() + timeout

    def read(path: str) -> tuple[wire.Page, str]:
        page = wire.services(_request(peer, path, deadline, "Services"))
        return page, page.proceed

    try:
        pages = list(_pages(_SERVICES, "Services", read))
    except PeerError as error:
        # A page token is valid for some five minutes (Kubernetes API concepts, "Retrieving large
        # result sets in chunks"). After that, everything is requested in one answer, as client-go
        # does.
        if error.status != _GONE:
            raise
        pages = [read(_SERVICES)[0]]
    return Listing(tuple(port for page in pages for port in page.ports), pages[0].version)


def pod_ports(peer: Peer, timeout: float) -> tuple[PodPort, ...]:
    """Return the hostPorts of all Pods except those of servicelb; `timeout` is in seconds.

    Raises PeerError.
    """
    deadline = time.monotonic() + timeout
    pages = _pages(_PODS, "Pods", lambda path: wire.pods(_request(peer, path, deadline, "Pods")))
    return tuple(port for page in pages for port in page)


def follow(peer: Peer, version: str, changed: Callable[[wire.Event], None]) -> str:
    """Watch Services from `version` on, and call `changed` for each change until the watch ends.

    A change is a Service that is added, modified or deleted. Returns the version to continue from.
    This version is empty if the API server no longer has it; then the Services must be listed
    again. Raises PeerError for a broken connection, or a line that is not an event.
    """
    query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
    path = f"{_SERVICES}?{query}&resourceVersion={quote(version)}"
    with closing(peer.stream(path, timeout=WATCH_SECONDS + 10.0)) as lines:
        for line in lines:
            event = wire.event(line)
            if event.kind == "ERROR":
                return ""
            version = event.version or version
            if event.kind in _CHANGES or event.kind == "DELETED":
                changed(event)
    return version


def _pages(path: str, what: str, read: Callable[[str], tuple[T, str]]) -> Iterator[T]:
    token, seen = "", {""}
    while True:
        page, token = read(f"{path}?limit={PAGE}{_continued(token)}")
        yield page
        if not token:
            return
        if token in seen:
            raise PeerError(
                f"cannot list the {what}: the API server sent the same page token twice"
            )
        seen.add(token)


def _continued(token: str) -> str:
    if not token:
        return ""
    return f"&continue={quote(token, safe='')}"


def _request(peer: Peer, path: str, deadline: float, what: str) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise PeerError(f"cannot list the {what}: the API server did not finish in time")
    answer = peer.get(path, timeout=left)
    if answer.status != 200:
        raise PeerError(f"cannot list the {what}: {refusal(answer)}", status=answer.status)
    return answer.body
