"""What a test may ask of a machine with a real systemd: the lab (private namespaces) and the VM
answer alike.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

USER = "alice"
UID = 1500
HOME = Path("/home/alice")
RUNTIME_DIR = Path(f"/run/user/{UID}")
TOOL = "/usr/local/bin/k3s-rootless"
"""The project, installed from its wheel."""
K3S = "/usr/local/bin/k3s"
"""The K3s stand-in, or a copy of `$K3S_BINARY`."""

Completed = subprocess.CompletedProcess[str]


class MachineError(Exception):
    """A machine cannot be had here; the message says why."""


class Machine(Protocol):
    """A booted machine: real systemd as PID 1, logind, journald, and a running `systemd --user` of
    `USER`, who lingers.
    """

    name: str
    """`lab` or `vm`."""
    delegates: bool
    """Whether cgroup v2 controllers can reach the user: false in a lab whose host keeps them on
    cgroup v1.
    """
    plays_k3s: bool
    """Whether `K3S` is the stand-in, which takes orders (`/home/alice/.k3s-standin.json`)."""

    @property
    def systemd(self) -> int:
        """The version of its systemd, such as 257."""

    def user(
        self,
        *args: str,
        timeout: float = 120,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `args` as `USER` in a login-like environment (plus `env`); never raises for a
        non-zero exit.
        """

    def root(self, *args: str, timeout: float = 120, stdin: str | None = None) -> Completed:
        """Run `args` as the machine's root."""

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `args` as `USER`, pipes on all three streams; killing it kills the program on the
        machine.
        """

    def down(self) -> None:
        """Stop the machine and take away all that it left on the host."""


def systemd_version(machine: Machine) -> int:
    """Ask `machine` for the version of its systemd."""
    return int(machine.root("systemctl", "--version").stdout.split()[1])
