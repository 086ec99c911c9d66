"""The phases of a start: their keys in options and JSON, and their names in messages.

This module imports little, because the options of commands need the keys.
"""

from __future__ import annotations

from typing import NamedTuple

KEYS = ("unit", "namespace", "socket", "port", "kubeconfig", "api", "node", "deployments")
"""The keys of the phases, in the order in which K3s reaches them."""


class Phase(NamedTuple):
    """A phase of a start, with its key and its name.

    `goal` is the state that K3s reaches, for messages such as "before its node was ready". `ready`
    is true if K3s is ready in this phase.
    """

    key: str
    name: str
    goal: str
    ready: bool = False


UNIT = Phase("unit", "unit active", "its unit was active")
NAMESPACE = Phase("namespace", "child namespace", "its network namespace was ready")
SOCKET = Phase("socket", "API socket", "rootlesskit answered at its API socket")
KUBECONFIG = Phase("kubeconfig", "kubeconfig of this start", "it wrote its kubeconfig")
API = Phase("api", "API server ready", "its API server was ready")
NODE = Phase("node", "node ready", "its node was ready", ready=True)
DEPLOYMENTS = Phase(
    "deployments", "system Deployments available", "its system Deployments were available"
)


def port(https_port: int) -> Phase:
    """Return the phase in which rootlesskit forwards the port of the API server."""
    name = f"port {https_port} forwarded"
    return Phase("port", name, f"port {https_port} was forwarded")


_LAST_WITHOUT_AGENT = API._replace(ready=True)


def up_to(key: str, https_port: int, *, agentless: bool = False) -> tuple[Phase, ...]:
    """Return the phases in order, up to the phase with this key.

    Without an agent, K3s has no namespace and no node, and is ready when its API server is.
    """
    if agentless:
        own = (UNIT, KUBECONFIG, _LAST_WITHOUT_AGENT)
        return tuple(one for one in own if KEYS.index(one.key) <= KEYS.index(key)) or (UNIT,)
    phases = (UNIT, NAMESPACE, SOCKET, port(https_port), KUBECONFIG, API, NODE, DEPLOYMENTS)
    return phases[: KEYS.index(key) + 1]


# The milestones of a start that files and the journal show afterwards.
STARTED = "started by systemd"
NAMESPACE_MADE = "child namespace made"
SOCKET_MADE = "rootlesskit's API socket"
KUBECONFIG_WRITTEN = "kubeconfig written"
NODE_READY = NODE.name
LOGGED = (
    ("K3s started in its namespace", "Starting k3s v"),
    ("API server running", "Kube API server is now running"),
    ("K3s up and running", "k3s is up and running"),
    ("first port forwarded", "Bound parent port"),
    ("containerd running", "containerd is now running"),
    ("node registered", "Successfully registered node"),
)
"""The milestones in the log lines of K3s and its kubelet: the name, and a part of the line.

Valid for K3s v1.21 to v1.36; some releases print fewer of these lines.
"""
