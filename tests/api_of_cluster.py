"""The API server of the stand-in over TLS, for tests of operations that query it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from k3s_rootless.cluster import pods
from k3s_rootless.rest import TlsPeer
from tests.standin.k3s_standin import certificates, cluster, objects, watching
from tests.standin.k3s_standin.api import Server
from tests.standin.k3s_standin.health import Gate
from tests.standin.k3s_standin.journal import Journal
from tests.standin.k3s_standin.release import Release
from tests.standin.k3s_standin.resources import ENDS_AFTER, Verbs


class Cluster:
    """The API server of a cluster with one node."""

    def __init__(self, directory: Path) -> None:
        issued = certificates.prepare(directory, (), 6444)
        self.state = cluster.Cluster()
        for item in objects.namespaces():
            self.state.put("namespaces", item)
        self.state.put("nodes", {"metadata": {"name": "node"}, "spec": {}})
        verbs = Verbs(self.state)
        self.gate = Gate()
        release = Release("v1.36.3+k3s1")
        served = watching.Context(self.state, verbs, self.gate, release, issued, Journal())
        self.server = Server(("127.0.0.1", 0), served)
        context = ssl.create_default_context(cadata=issued.server_ca.decode())
        context.load_cert_chain(directory / "client-admin.crt", directory / "client-admin.key")
        self.peer = TlsPeer("127.0.0.1", self.server.server_port, context)

    def add(self, name: str, *, after: str | None = None, **more: Any) -> None:
        metadata: dict[str, Any] = {"namespace": "default", "name": name}
        if after is not None:
            metadata["annotations"] = {ENDS_AFTER: after}
        metadata |= more.pop("metadata", {})
        spec = {"nodeName": "node", "terminationGracePeriodSeconds": 1} | more.pop("spec", {})
        self.state.put("pods", {"metadata": metadata, "spec": spec, **more})

    def add_policy(self, name: str, labels: dict[str, str] | None = None, **more: Any) -> None:
        """Add a NetworkPolicy for Ingress, in the namespace default."""
        metadata = {"namespace": "default", "name": name} | more.pop("metadata", {})
        spec = {"podSelector": {"matchLabels": labels or {}}, "policyTypes": ["Ingress"]}
        self.state.put("networkpolicies", {"metadata": metadata, "spec": spec | more})

    def left(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.state.items("pods")[0]}

    @property
    def node(self) -> pods.Schedule:
        (found,) = pods.schedules(self.peer)
        return found


@contextmanager
def serving(directory: Path) -> Iterator[Cluster]:
    """Yield the API server of a cluster; `directory` is that of its certificates."""
    found = Cluster(directory)
    threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    found.gate.stopping.set()
    found.server.shutdown()
    found.server.server_close()
