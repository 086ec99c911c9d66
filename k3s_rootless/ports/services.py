"""The ports of all Services of the cluster, from the API server.

Asked in pages of 500, as kubectl does, so that a cluster of 10,000 Services neither stalls its API server nor this process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from k3s_rootless.errors import PeerError
from k3s_rootless.ports.facts import ServicePort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.ports import wire
    from k3s_rootless.rest import Peer

PAGE = 500
_PATH = "/api/v1/services"


def service_ports(peer: Peer, timeout: float) -> tuple[ServicePort, ...]:
    """Ask for the Services of all namespaces, and give their ports in the API server's order.

    `timeout` in seconds is for all pages together. Raises PeerError with the message of the API server's Status.
    """
    deadline = time.monotonic() + timeout
    try:
        return tuple(port for page in _pages(peer, deadline) for port in _ports(page))
    except PeerError as error:
        # A page token lives for some five minutes (Kubernetes API concepts, "Retrieving large result sets in chunks"); who
        # comes later asks for everything in one answer, as client-go does.
        if error.status != 410:
            raise
        return tuple(_ports(_page(peer, _PATH, deadline)))


def _pages(peer: Peer, deadline: float) -> Iterator[wire.ServiceList]:
    token, seen = "", {""}
    while True:
        proceed = f"&continue={quote(token, safe='')}" if token else ""
        page = _page(peer, f"{_PATH}?limit={PAGE}{proceed}", deadline)
        yield page
        token = page.metadata.proceed
        if not token:
            return
        if token in seen:
            raise PeerError("cannot list the Services: the API server goes round in circles")
        seen.add(token)


def _page(peer: Peer, path: str, deadline: float) -> wire.ServiceList:
    left = deadline - time.monotonic()
    if left <= 0:
        raise PeerError("cannot list the Services: the API server did not finish in time")
    answer = peer.get(path, timeout=left)
    from k3s_rootless.ports import wire

    if answer.status != 200:
        why = wire.complaint(answer.body)
        raise PeerError(f"cannot list the Services: {why} (HTTP status {answer.status})", status=answer.status)
    return wire.read(wire.SERVICES, answer.body, "the API server's list of Services")


def _ports(page: wire.ServiceList) -> Iterator[ServicePort]:
    for service in page.items or ():
        ingress = service.status.load_balancer.ingress or ()
        addresses = tuple(point.ip for point in ingress if point.ip)
        hostnames = tuple(point.hostname for point in ingress if point.hostname)
        for port in service.spec.ports or ():
            yield ServicePort(
                namespace=service.metadata.namespace,
                service=service.metadata.name,
                name=port.name,
                proto=port.protocol.lower(),
                port=port.port,
                node_port=port.node_port,
                type=service.spec.type,
                addresses=addresses,
                hostnames=hostnames,
            )
