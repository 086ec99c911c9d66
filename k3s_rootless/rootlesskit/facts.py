"""Records of rootlesskit's state and forwards.

The terms are rootlesskit's: the *parent* is the namespace of the host, and the *child* the
namespace of K3s. An empty `parent_ip` means all addresses of the host, IPv4 and IPv6; an empty
`child_ip` means that the port driver chooses.
"""

from __future__ import annotations

from dataclasses import dataclass


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
