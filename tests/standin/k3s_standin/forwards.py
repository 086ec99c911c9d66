"""Host ports: the forwards that the rootlessports controller of K3s creates.

Source: K3s pkg/rootlessports/controller.go.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from .cluster import Cluster, Object
from .goparse import quote
from .journal import Journal
from .release import Release

Port = tuple[str, int]
"""Protocol and port on the host."""
_OFFSET = 10000
_LAST_PRIVILEGED = 1024
_FIRST_RETRY, _LAST_RETRY = 0.005, 30.0


class ApiError(Exception):
    """rootlesskit refused a request, or is not running; the text is what K3s logs."""


class PortApi(Protocol):
    """Port API of rootlesskit."""

    def ports(self) -> list[Object]:
        """Return GET /v1/ports."""

    def add(self, protocol: str, parent: int, child: int) -> None:
        """Bind a port on the host."""

    def remove(self, identifier: int) -> None:
        """Release a port on the host."""


def host_port(port: int) -> int:
    """Return the host port of a Service port: up to 1024, it is moved up by 10000."""
    return port + _OFFSET if port <= _LAST_PRIVILEGED else port


def desired(
    services: Iterable[Object], release: Release, *, https_port: int, servicelb: bool
) -> dict[Port, int]:
    """Return the child's port for each host port.

    If two claim the same host port, the last wins, as in the map of K3s.
    """
    expected: dict[Port, int] = {}
    if servicelb or release.forwards_api_without_servicelb:
        expected["tcp", https_port] = https_port
    if not servicelb:
        return expected
    protocols = {"tcp", "udp"} if release.forwards_udp else {"tcp"}
    for service in services:
        ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
        if not any(entry.get("ip") for entry in ingress):
            continue
        for port in service["spec"].get("ports") or []:
            protocol = str(port.get("protocol", "TCP")).lower()
            numbers = (port["port"], port.get("nodePort", 0) if release.forwards_node_ports else 0)
            if protocol in protocols:
                expected.update(
                    {(protocol, host_port(number)): number for number in numbers if number}
                )
    return expected


class Reconciler:
    """Reconciles all ports at each event of a Service.

    A failed pass is retried, each time after a longer delay.
    """

    def __init__(
        self,
        cluster: Cluster,
        api: PortApi,
        journal: Journal,
        release: Release,
        *,
        https_port: int,
        servicelb: bool,
    ) -> None:
        self._cluster = cluster
        self._api = api
        self._journal = journal
        self._release = release
        self._https_port = https_port
        self._servicelb = servicelb

    def run(self, stopping: threading.Event, settled: Callable[[], None]) -> None:
        """Keep the host ports up to date until the server stops.

        Calls `settled` after the first complete pass.
        """
        failures, first = 0, True
        while not stopping.is_set():
            services, version = self._cluster.items("services")
            try:
                self.reconcile(services)
            except ApiError as error:
                self._journal.error(
                    f"error syncing '_all_': handler rootlessports: {error}, requeuing"
                )
                wait = min(_FIRST_RETRY * 2**failures, _LAST_RETRY)
                failures += 1
            else:
                failures, wait = 0, _LAST_RETRY
                if first:
                    settled()
                first = False
            self._cluster.changes("services", version, wait)

    def reconcile(self, services: Iterable[Object]) -> None:
        """Run one pass: add missing forwards, in no order, then remove the rest.

        The first refusal ends the pass.
        """
        bound = {
            (item["spec"]["proto"], item["spec"]["parentPort"]): item for item in self._api.ports()
        }
        expected = desired(
            services, self._release, https_port=self._https_port, servicelb=self._servicelb
        )
        for key in random.sample(sorted(expected), len(expected)):
            # K3s compares only the host side: a forward to another child port counts as bound.
            if bound.pop(key, None) is not None:
                continue
            self._api.add(key[0], key[1], expected[key])
            self._journal.info(
                f"Bound parent port {self._text(key)} to child namespace port {expected[key]}"
            )
        for key, item in bound.items():
            self._api.remove(item["id"])
            self._journal.info(
                f"Removed parent port {self._text(key)} to child namespace port"
                f" {item['spec']['childPort']}"
            )

    def _text(self, key: Port) -> str:
        return f":{key[1]}/{key[0]}" if self._release.forwards_udp else f":{key[1]}"


class RootlessKit:
    """Port API of the real rootlesskit, over its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ports(self) -> list[Object]:
        """Return the forwards; rootlesskit returns null if there are none."""
        found = self._ask("GET", "/v1/ports", None)
        return list(found or [])

    def add(self, protocol: str, parent: int, child: int) -> None:
        """Bind a port on all addresses of the host."""
        self._ask(
            "POST", "/v1/ports", {"proto": protocol, "parentPort": parent, "childPort": child}
        )

    def remove(self, identifier: int) -> None:
        """Release a port."""
        self._ask("DELETE", f"/v1/ports/{identifier}", None)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        connection = _UnixConnection(self._path)
        try:
            data = json.dumps(body) if body is not None else None
            connection.request(
                method, path, data, {"Content-Type": "application/json"} if data else {}
            )
            response = connection.getresponse()
            text = response.read()
        except OSError as error:
            why = f"dial unix {self._path}: connect: {(error.strerror or str(error)).lower()}"
            raise ApiError(
                f"{method.capitalize()} {quote(f'http://rootlesskit{path}')}: {why}"
            ) from None
        finally:
            connection.close()
        if response.status >= 300:
            raise ApiError(_message(text))
        return json.loads(text) if text.strip() else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("rootlesskit", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip()
