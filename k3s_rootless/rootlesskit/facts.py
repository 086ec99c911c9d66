"""Records of rootlesskit's state and forwards, and the names of its files.

The terms are rootlesskit's: the *parent* is the namespace of the host, and the *child* the
namespace of K3s. An empty `parent_ip` means all addresses of the host, IPv4 and IPv6; an empty
`child_ip` means that the port driver chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCK = "lock"
"""In the state directory. The file stays there; it is a lock only while a process holds it."""
API_SOCKET = "api.sock"
CHILD_PID = "child_pid"
"""The process that owns the child's namespaces; written as soon as the namespaces exist."""
READY_PIPE = ".bp-ready.pipe"
LEFTOVERS = (CHILD_PID, API_SOCKET, ".bp.sock", READY_PIPE, ".s4nn.sock")
"""Files besides the lock that a killed rootlesskit leaves in its state directory."""


@dataclass(frozen=True, slots=True)
class Forward:
    """One forward in rootlesskit's list (`GET /v1/ports`).

    `proto` is tcp, tcp4, tcp6, udp, udp4 or udp6.
    """

    proto: str
    parent_ip: str
    parent_port: int
    child_port: int
    child_ip: str


@dataclass(frozen=True, slots=True)
class RootlessKit:
    """rootlesskit's information (`GET /v1/info`); fields that a release does not have are None."""

    version: str | None
    state_directory: str | None
    child_pid: int | None
    network_driver: str | None
    port_driver: str | None
    child_ip: str | None
