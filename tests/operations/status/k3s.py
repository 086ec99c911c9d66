"""K3s for tests of `status`: real servers in place of rootlesskit and the API server.

Its unit is on a private bus.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k3s_rootless.cluster import api
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.service.unit.seal import sealed
from tests.cluster.conftest import Cluster
from tests.fakes.session import Session
from tests.fakes.user import USER
from tests.ports import peers

RELEASE = "v1.33.4+k3s1"
AGE = 60.0
"""Seconds since the start of the running K3s."""
INVOCATION = "07" * 16
DATA = Path(__file__).parents[2] / "data"
HEAD = f"# K3s for this user, without root. Written by k3s-rootless for K3s {RELEASE}; see below."
JOURNALCTL = "#!/bin/sh\ncat {journal}\n"


class K3s:
    """K3s of a user, in the state that a test sets."""

    def __init__(self, place: Path, bus: Session, cluster: Cluster) -> None:
        self.place = place
        self.bus = bus
        self.cluster = cluster
        self.events: list[Event] = []
        self.paths = Paths(place, place / "home", bus.runtime, place / "config")
        self.context = Context(self.paths, {}, USER, "alice", self.events.append)
        self.kubeconfig = self.paths.kubeconfig
        self.unit = bus.units / UNIT
        self.binary = self.paths.home / "bin/k3s"
        self.binary.parent.mkdir(parents=True)
        self.kubeconfig.parent.mkdir()
        self.install(RELEASE)
        self.write_unit(sealed(f"{HEAD}\n{self._service()}"))
        (place / "var/lib/systemd/linger").mkdir(parents=True)
        (place / "var/lib/systemd/linger/alice").touch()
        self.says()

    def _service(self) -> str:
        flags = f"--data-dir={self.paths.data} --write-kubeconfig={self.kubeconfig}"
        return f"[Service]\nExecStart={self.binary} server --rootless {flags}\n"

    def install(self, release: str) -> None:
        """Install a k3s of this release."""
        self.binary.write_text(f"#!/bin/sh\necho 'k3s version {release} (0123abcd)'\n")
        self.binary.chmod(0o755)

    def write_unit(self, text: str, age: float = 10 * AGE) -> None:
        """Write the unit; `age` is in seconds."""
        self.unit.write_text(text)
        os.utime(self.unit, (time.time() - age,) * 2)

    def is_(self, active: str, sub: str, **more: tuple[str, Any]) -> None:
        """Set the state of the unit that the user manager reports."""
        started = int((time.time() - AGE) * 1e6)
        self.bus.order(
            properties={
                "ActiveState": ("s", active),
                "SubState": ("s", sub),
                "InvocationID": ("ay", INVOCATION),
                "ExecMainStartTimestamp": ("t", started),
                "StateChangeTimestamp": ("t", started),
                **more,
            }
        )

    def runs(self, **more: tuple[str, Any]) -> None:
        """Make the user manager report that K3s runs."""
        self.is_("active", "running", **more)

    def restart_bus(self) -> None:
        """End the bus and the user manager, and start new ones."""
        bus = self.bus
        (bus.runtime / "bus").unlink()
        bus.kill_manager()
        (bus.directory / "ready").unlink()
        bus.bus = bus._start_bus()  # noqa: SLF001 (the fake's own)
        bus.start_manager()

    def says(self, *messages: str) -> None:
        """Write lines of the present start to the journal."""
        lines = (
            json.dumps({"MESSAGE": message, "_SYSTEMD_INVOCATION_ID": INVOCATION}) + "\n"
            for message in messages
        )
        # An empty journal would mean that this user cannot read it.
        (self.place / "journal").write_text("no entry\n" + "".join(lines))
        program = self.place / "bin/journalctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(JOURNALCTL.format(journal=self.place / "journal"))
        program.chmod(0o755)

    @contextlib.contextmanager
    def rootlesskit(self) -> Iterator[peers.Server]:
        """Serve the API of rootlesskit."""
        state = self.paths.data / "rootless"
        state.mkdir(parents=True, exist_ok=True)
        (state / "child_pid").write_text("5173")
        routes = {
            f"/v1/{name}": json.loads((DATA / f"rootlesskit-{name}.json").read_text())
            for name in ("info", "ports")
        }
        with peers.on_socket(state / "api.sock", peers.answering(routes)) as server:
            yield server

    @contextlib.contextmanager
    def api(
        self, *, ready: str = "True", readyz: Any = b"[+]ping ok\nreadyz check passed\n"
    ) -> Iterator[peers.Server]:
        """Serve the API of K3s, and write its kubeconfig."""
        routes = {api.READYZ: readyz, api.NODES: nodes(ready)}
        with peers.over_tls(self.cluster.context(), peers.answering(routes)) as server:
            port = server.server_address[1]
            self.cluster.write(self.kubeconfig, f"https://127.0.0.1:{port}")
            yield server


def nodes(ready: str) -> dict[str, Any]:
    """Return a list of one node with a present heartbeat."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    condition = {
        "type": "Ready",
        "status": ready,
        "message": "the network is not ready",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    node = {
        "metadata": {"name": "host"},
        "status": {"conditions": [condition], "nodeInfo": {"kubeletVersion": RELEASE}},
    }
    return {"kind": "NodeList", "metadata": {"resourceVersion": "7"}, "items": [node]}
