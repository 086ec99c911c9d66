"""Records of K3s's sub-commands, and of what is known of the K3s that they are used with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3s_rootless.k3s.features import Since
    from k3s_rootless.k3s.version import Version

SOCKET = "/run/k3s/containerd/containerd.sock"
"""containerd's socket, inside the namespaces (K3s pkg/agent/containerd)."""
IMAGE_SOCKET = "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock"
"""The socket of the image service with the snapshotter stargz (K3s pkg/agent/config)."""


class Place(Enum):
    """Where a sub-command runs; the value is the text in the documentation."""

    HOST = "on the host"
    NAMESPACES = "in K3s's namespaces"
    NOWHERE = "refused"


class Need(Enum):
    """What a sub-command gets or requires; the value is the text in the documentation."""

    KUBECONFIG = "kubeconfig"
    SERVER = "address of the server"
    ETCD = "address of the server (`--etcd-server`)"
    TOKEN = "server token"  # noqa: S105 (a description)
    CONFIG = "configuration file of the unit"
    RUNNING = "K3s runs"
    STOPPED = "K3s is stopped"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One sub-command of K3s, or several that share their second word.

    `second` are the second words; empty for all other ones. `since` are the releases that have the
    sub-command and can run it without root, None for all. `instead` is the command to use if the
    sub-command is refused, and `because` why.
    """

    name: str
    second: tuple[str, ...] = ()
    place: Place = Place.HOST
    needs: frozenset[Need] = frozenset()
    since: Since | None = None
    because: str = ""
    instead: str = ""

    @property
    def text(self) -> str:
        """The words of the sub-command, as in the documentation."""
        return f"{self.name} {'|'.join(self.second)}".strip()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The K3s of the unit: its program, its files, and how to reach it.

    `unpacked` is the directory of the programs that the running K3s has unpacked, None if unknown.
    `config` is the path of its configuration file, empty if there is none. `token` is the server
    token; empty unless it is needed. `etcd` is true if the datastore is embedded etcd.
    """

    program: str
    release: Version | None
    running: bool
    home: Path
    data: Path
    kubeconfig: Path
    port: int
    snapshotter: str
    config: str = ""
    unpacked: Path | None = None
    etcd: bool = False
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A program to run: its arguments and its environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    inside: bool = False
