"""The supervisor of the stand-in, on a port of this host, and a unit of the fake user manager."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k3s_rootless.k3s import token
from k3s_rootless.operations.context import Context as OperationContext
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.standin.k3s_standin import certificates, child, cluster, flags, kept, kine, objects
from tests.standin.k3s_standin.api import Server
from tests.standin.k3s_standin.control import Control
from tests.standin.k3s_standin.encryption import Encryption
from tests.standin.k3s_standin.etcd import Etcd
from tests.standin.k3s_standin.health import Gate
from tests.standin.k3s_standin.journal import Journal
from tests.standin.k3s_standin.passwords import Passwords
from tests.standin.k3s_standin.release import Release
from tests.standin.k3s_standin.resources import Verbs
from tests.standin.k3s_standin.watching import Context

RELEASE = "v1.33.4+k3s1"


@dataclass
class Supervised:
    """A K3s that answers requests of its supervisor; its pods and its namespaces do not exist."""

    bus: Session
    home: Path
    data: Path
    server: Server
    context: Context

    @property
    def port(self) -> int:
        """The port of the API server."""
        return self.server.server_port

    @property
    def password(self) -> str | None:
        """The password in the file of the server's token."""
        return token.password((self.data / "server/token").read_text().strip())

    @property
    def keys(self) -> set[str]:
        """The keys of the certificates in the datastore."""
        return kine.names(kept.database(self.data), "/bootstrap/")

    def write_unit(self, *lines: str, arguments: tuple[str, ...] = ()) -> Path:
        """Write the unit, with more lines and arguments of the server."""
        argv = ("/usr/local/bin/k3s", "server", "--rootless", f"--data-dir={self.data}")
        port = (f"--https-listen-port={self.port}", f"--config={self.config}")
        command = " ".join((*argv, *port, *arguments))
        unit = self.bus.units / UNIT
        unit.write_text("\n".join(("[Service]", f"ExecStart={command}", *lines, "")))
        return unit

    @property
    def config(self) -> Path:
        """The configuration file that the unit names."""
        return self.home / "config.yaml"

    def restart(self, *arguments: str, release: str = RELEASE, seconds: float = 0.0) -> None:
        """Start K3s's part again, with these arguments."""
        played = flags.from_line([f"--data-dir={self.data}", *arguments])
        encryption = Encryption(
            played, Release(release), self.context.cluster, self.context.journal, seconds
        )
        etcd = Etcd(played, "node1", self.context.journal)
        control = Control(Passwords(played), encryption, etcd)
        object.__setattr__(self.context, "control", control)

    def forget(self) -> None:
        """Remove the datastore, which has the key of a token."""
        kept.database(self.data).unlink()

    def encryption(self) -> dict[str, Any]:
        """Return the encryption configuration."""
        found: dict[str, Any] = json.loads(
            (self.data / "server/cred/encryption-config.json").read_text()
        )
        return found


@contextmanager
def supervised(bus: Session, home: Path, *arguments: str) -> Iterator[Supervised]:
    """Yield a K3s that was started with these arguments; its unit has none, and is not started."""
    data = home / "data"
    child.make_tree(data)
    issued = certificates.prepare(data / "server/tls", (), 6444)
    state = cluster.Cluster()
    for item in objects.namespaces():
        state.put("namespaces", item)
    gate = Gate()
    gate.ready.set()
    context = Context(state, Verbs(state), gate, Release(RELEASE), issued, Journal())
    server = Server(("127.0.0.1", 0), context)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found = Supervised(bus, home, data, server, context)
    for path in (data / "server/cred").glob("*.kubeconfig"):
        # K3s's own kubeconfigs name the internal port, which is the port of the API plus 1.
        path.write_text(path.read_text().replace(":6444", f":{found.port + 1}"))
    found.write_unit()
    found.restart(*arguments)
    yield found
    gate.stopping.set()
    server.shutdown()
    server.server_close()


def start(context: OperationContext) -> None:
    """Start the unit as it is on the disk."""
    with context.manager() as manager:
        manager.reload()
        manager.start(UNIT)


def refuse(_: str) -> bool:
    """Fail: the operation must not ask."""
    raise AssertionError("a question")
