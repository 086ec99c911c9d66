"""servicelb: gives LoadBalancer Services their address and listens on their ports.

Source: K3s pkg/cloudprovider/servicelb.go.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable

from .answers import Answerer, Listener
from .cluster import Cluster, Conflict, Object
from .journal import Journal
from .objects import DEAF, DELAY, ORDERED, PENDING

ADDRESS = "127.0.0.1"
"""Address of every load balancer in rootless mode."""
_IDLE = 30.0

Key = tuple[str, str]


class ServiceLB:
    """Controller of LoadBalancer Services.

    A Service with ports that are in use inside the namespace stays pending, as with an
    unschedulable Pod.
    """

    def __init__(
        self,
        cluster: Cluster,
        answerer: Answerer,
        journal: Journal,
        *,
        enabled: bool,
        delay: float,
        pending: Iterable[str],
    ) -> None:
        self._cluster = cluster
        self._answerer = answerer
        self._journal = journal
        self._enabled = enabled
        self._delay = delay
        self._pending = frozenset(pending)
        self._seen: dict[Key, float] = {}

    def run(self, stopping: threading.Event) -> None:
        """Handle Services until the server stops."""
        while not stopping.is_set():
            services, version = self._cluster.items("services")
            self._close_stale(services)
            wait = min(
                (self._attend(service) for service in sorted(services, key=_age)), default=_IDLE
            )
            self._cluster.changes("services", version, wait)

    def _attend(self, service: Object) -> float:
        """Take the due steps for one Service; return the seconds until the next step."""
        kind = service["spec"].get("type")
        if kind == "NodePort":
            self._listen(service, required=False)
        if kind != "LoadBalancer":
            return _IDLE
        ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress")
        if ingress:
            self._listen(service, required=False)
            return _IDLE
        if not self._enabled or self._is_pending(service):
            return _IDLE
        left = self._due(service) - time.monotonic()
        if left > 0:
            return left
        if not self._listen(service, required=True):
            return _IDLE
        with contextlib.suppress(Conflict):
            expected = service["metadata"]["resourceVersion"]
            addressed = service | {"status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}}
            self._cluster.put("services", addressed, expected=expected)
        return _IDLE

    def _is_pending(self, service: Object) -> bool:
        metadata = service["metadata"]
        ordered = f"{metadata['namespace']}/{metadata['name']}" in self._pending
        return ordered or (metadata.get("annotations") or {}).get(PENDING) == "true"

    def _due(self, service: Object) -> float:
        metadata = service["metadata"]
        key = (metadata["namespace"], metadata["name"])
        more = float((metadata.get("annotations") or {}).get(DELAY, "0"))
        return self._seen.setdefault(key, time.monotonic()) + self._delay + more

    def _listen(self, service: Object, *, required: bool) -> bool:
        """Open the missing listeners; with `required`, open all or none."""
        opened: list[Listener] = []
        for listener in listeners(service):
            if self._answerer.is_open(listener):
                continue
            try:
                self._answerer.open(listener)
            except OSError:
                if required and listener.number == listener.port:
                    for done in opened:
                        self._answerer.close(done)
                    return False
            else:
                opened.append(listener)
        if opened and required:
            name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
            self._journal.info(f"Updated LoadBalancer status for Service {name}: [{ADDRESS}]")
        return True

    def _close_stale(self, services: Iterable[Object]) -> None:
        expected = {
            listener
            for service in services
            if service["spec"].get("type") in {"LoadBalancer", "NodePort"}
            for listener in listeners(service)
        }
        for listener in self._answerer.listeners - expected:
            self._answerer.close(listener)


def _age(service: Object) -> tuple[bool, str, int]:
    """Return the sort key for a port that two Services claim.

    Services of K3s and of orders come first, then older ones.
    """
    metadata = service["metadata"]
    made_at_start = ORDERED in (metadata.get("annotations") or {})
    return not made_at_start, metadata["creationTimestamp"], int(metadata["resourceVersion"])


def listeners(service: Object) -> list[Listener]:
    """Return the listeners of a Service inside the namespace.

    These are its ports for a load balancer, and its node ports.
    """
    metadata, spec = service["metadata"], service["spec"]
    found: list[Listener] = []
    if (metadata.get("annotations") or {}).get(DEAF) == "true":
        return found
    for port in spec.get("ports") or []:
        protocol = str(port.get("protocol", "TCP")).lower()
        own = [port["port"]] if spec.get("type") == "LoadBalancer" else []
        numbers = [*own, *([port["nodePort"]] if port.get("nodePort") else [])]
        if protocol in {"tcp", "udp"}:
            made = (
                Listener(metadata["namespace"], metadata["name"], protocol, port["port"], number)
                for number in numbers
            )
            found.extend(made)
    return found
