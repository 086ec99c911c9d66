"""What rootlesskit says about itself and its forwards, and what it calls its files.

Words are rootlesskit's own: the *parent* is the namespace of the host, the *child* the one that K3s
lives in. An empty `parent_ip` means all addresses of the host, IPv4 and IPv6; an empty `child_ip`
means the driver's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCK = "lock"
"""In the state directory; it stays: it is a lock only while it is held."""
API_SOCKET = "api.sock"
CHILD_PID = "child_pid"
"""The process that owns the child's namespaces; written as soon as these are there."""
READY_PIPE = ".bp-ready.pipe"
LEFTOVERS = (CHILD_PID, API_SOCKET, ".bp.sock", READY_PIPE, ".s4nn.sock")
"""What a rootlesskit that was killed leaves in its state directory, besides the lock."""


@dataclass(frozen=True, slots=True)
class Forward:
    """One forward as rootlesskit lists it (`GET /v1/ports`); `proto` is tcp, tcp4, tcp6, udp, udp4
    or udp6.
    """

    proto: str
    parent_ip: str
    parent_port: int
    child_port: int
    child_ip: str


@dataclass(frozen=True, slots=True)
class RootlessKit:
    """What rootlesskit says about itself (`GET /v1/info`); what a release does not tell is None."""

    version: str | None
    state_directory: str | None
    child_pid: int | None
    network_driver: str | None
    port_driver: str | None
    child_ip: str | None
