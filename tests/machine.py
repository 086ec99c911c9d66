"""Interface of a machine with a real systemd, for tests.

The lab (private namespaces) and the virtual machine implement the same interface.
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
"""The installed tool, from the wheel of the project."""
K3S = "/usr/local/bin/k3s"
"""The K3s stand-in, or a copy of `$K3S_BINARY`."""

Completed = subprocess.CompletedProcess[str]


class MachineError(Exception):
    """The machine cannot be started here; the message gives the reason."""


class Machine(Protocol):
    """Booted machine with systemd as PID 1, logind, journald and a user manager of `USER`.

    Lingering is enabled for `USER`.
    """

    name: str
    """Either `lab` or `vm`."""
    delegates: bool
    """Whether cgroup v2 controllers can reach the user.

    False in a lab on a host that keeps them on cgroup v1.
    """
    plays_k3s: bool
    """Whether `K3S` is the stand-in, which reads orders from `/home/alice/.k3s-standin.json`."""

    @property
    def systemd(self) -> int:
        """Version of systemd in the machine, such as 257."""

    def user(
        self,
        *args: str,
        timeout: float = 120,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `args` as `USER` in a login-like environment, with `env` added.

        Never raises for a non-zero exit status.
        """

    def root(self, *args: str, timeout: float = 120, stdin: str | None = None) -> Completed:
        """Run `args` as root of the machine."""

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `args` as `USER` with pipes for all three streams.

        Killing the returned process kills the program on the machine.
        """

    def down(self) -> None:
        """Stop the machine and remove everything that it left on the host."""


def systemd_version(machine: Machine) -> int:
    """Return the version of systemd in `machine`."""
    return int(machine.root("systemctl", "--version").stdout.split()[1])
