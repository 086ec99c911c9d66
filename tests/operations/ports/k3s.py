"""K3s for tests of `ports`: rootlesskit's API and the API server as real servers.

Its unit is on a private bus.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import Paths
from tests.cluster.conftest import Cluster
from tests.fakes.session import Session
from tests.fakes.user import USER
from tests.ports import peers

BALANCED = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}


def service(name: str, *ports: dict[str, Any], balanced: bool = True, **spec: Any) -> Any:
    """Return a Service as the API server has it; its type is LoadBalancer unless `spec` has one."""
    return {
        "metadata": {"namespace": "default", "name": name, "resourceVersion": "2"},
        "spec": {"type": "LoadBalancer", "ports": list(ports), **spec},
        "status": BALANCED if balanced else {"loadBalancer": {}},
    }


@contextmanager
def listening(address: str = "::") -> Iterator[int]:
    """Listen on a free port of this host, above those that K3s offsets to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.bind((address, 0))
        one.listen()
        yield one.getsockname()[1]


class K3s:
    """Servers of a K3s, and the context of an operation; `events` are those of the operation."""

    def __init__(self, place: Path, bus: Session, cluster: Cluster, opened: ExitStack) -> None:
        self.place = place
        self.bus = bus
        self.events: list[Event] = []
        paths = Paths.of({"XDG_RUNTIME_DIR": str(bus.runtime)}, USER, place / "home")
        self.context = Context(paths, {}, USER, "alice", self.events.append)
        self.forwards: list[dict[str, Any]] = []
        self.services: list[Any] = []
        self.pods: list[Any] = []
        self.changes: list[Any] = []
        self.api_status = 200
        self.child = os.getpid()
        self._changed = threading.Condition()
        self._opened = opened
        self._cluster = cluster
        self.socket = place / "data/rootless/api.sock"
        self.socket.parent.mkdir(parents=True)
        opened.enter_context(peers.on_socket(self.socket, self._rootlesskit))
        context = cluster.context()
        context.verify_mode = ssl.CERT_OPTIONAL  # as in K3s, which requests a certificate
        self.api = opened.enter_context(peers.over_tls(context, self._api))
        self.port: int = self.api.server_address[1]
        cluster.write(place / "k3s.yaml", f"https://127.0.0.1:{self.port}")
        self.forward(self.port, self.port, "127.0.0.1")

    def forward(self, parent: int, child: int, address: str = "", proto: str = "tcp") -> None:
        """Add a forward to the list of rootlesskit."""
        spec = {"proto": proto, "parentIP": address, "parentPort": parent, "childPort": child}
        self.forwards.append({"id": len(self.forwards) + 1, "spec": spec})

    def starts(
        self,
        seconds_ago: float | None = None,
        *,
        invocation: str = "01" * 16,
        group: str = "/user.slice/k3s-rootless.service",
    ) -> None:
        """Set the state of the unit to running for this many seconds, in this control group."""
        argv = [
            "k3s",
            "server",
            "--rootless",
            f"--data-dir={self.place}/data",
            f"--write-kubeconfig={self.place}/k3s.yaml",
            f"--https-listen-port={self.port}",
        ]
        self._order(
            ActiveState=("s", "active"),
            SubState=("s", "running"),
            InvocationID=("ay", invocation),
            ExecStart=("a(sasbttttuii)", [["k3s", argv, False, 0, 0, 0, 0, 0, 0, 0]]),
            ExecMainStartTimestamp=("t", _microseconds(seconds_ago)),
            ControlGroup=("s", group),
        )

    def stops(self) -> None:
        """Set the state of the unit to stopped."""
        self._order(ActiveState=("s", "inactive"), SubState=("s", "dead"))

    def change(self, kind: str, one: Any) -> None:
        """Send a change of a Service from the API server to its watchers."""
        with self._changed:
            self.changes.append({"type": kind, "object": one})
            self._changed.notify_all()

    def _order(self, **properties: tuple[str, Any]) -> None:
        self.bus.order(properties={"LoadState": ("s", "loaded"), **properties})
        self.bus.signal_change()

    def _rootlesskit(self, handler: peers.Handler) -> None:
        answers = {"/v1/info": {"childPID": self.child}, "/v1/ports": self.forwards}
        handler.send(200, json.dumps(answers[handler.path]).encode())

    def _api(self, handler: peers.Handler) -> None:
        if self.api_status != 200:
            handler.send(self.api_status, b'{"message": "the server is busy"}')
        elif "watch=1" in handler.path:
            self._stream(handler)
        else:
            listed = self.pods if "/pods" in handler.path else self.services
            document = {"metadata": {"resourceVersion": "1"}, "items": listed}
            handler.send(200, json.dumps(document).encode())

    def _stream(self, handler: peers.Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not handler.server.stopped.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self.changes, 0.05)
                lines = [json.dumps(one).encode() + b"\n" for one in self.changes]
                self.changes.clear()
            for line in lines:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        handler.close_connection = True


def _microseconds(seconds_ago: float | None) -> int:
    if seconds_ago is None:
        return 0
    return int((time.time() - seconds_ago) * 1_000_000)


def own_control_group() -> str:
    """Return the control group of this process."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return lines[0].split(":", 2)[2]
