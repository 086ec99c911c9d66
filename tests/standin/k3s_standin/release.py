"""Rules of the release that the stand-in plays: its version, and what changed between releases."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from . import goparse
from .journal import Fatal

_VERSION = re.compile(
    r"v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)"
    r"(?:-(?P<pre>[0-9A-Za-z.]+))?(?:\+(?P<build>[0-9A-Za-z.-]+))?"
)

# Rootless releases in which rootlesskit was replaced by 2.3.6; the next patch reverted this
# (k3s-io/k3s#13667).
_EVACUATION_BROKEN = frozenset({"v1.35.1+k3s1", "v1.34.4+k3s1", "v1.33.8+k3s1", "v1.32.12+k3s1"})

Triple = tuple[int, int, int]

_GO = {
    20: "go1.15.13",
    21: "go1.16.4",
    24: "go1.18.1",
    28: "go1.20.8",
    30: "go1.22.2",
    32: "go1.23.3",
    33: "go1.24.5",
}


@dataclass(frozen=True)
class Release:
    """One release of K3s, by its version string."""

    version: str
    commit: str | None = None

    @cached_property
    def triple(self) -> Triple:
        """Version of Kubernetes; a development build without a number counts as the newest."""
        match = _VERSION.fullmatch(self.version)
        return (
            (int(match["major"]), int(match["minor"]), int(match["patch"])) if match else (1, 99, 0)
        )

    @cached_property
    def build(self) -> int:
        """The N of `+k3sN` (or of the old `+k3s.N`); 1 if there is none."""
        match = re.search(r"\+k3s\.?(\d+)$", self.version)
        return int(match[1]) if match else 1

    @property
    def commit8(self) -> str:
        """Eight hexadecimal digits of a commit: from the orders, the build name, or derived."""
        if self.commit is not None:
            return self.commit[:8]
        named = re.search(r"\+k3s-([0-9a-f]{7,40})", self.version)
        return (named[1] if named else hashlib.sha256(self.version.encode()).hexdigest())[:8]

    def output(self, program: str) -> str:
        """Return the output of `k3s --version`; it has a go line since 1.20.

        Source: K3s pkg/version, cmd/k3s/main.go.
        """
        first = f"{program} version {self.version} ({self.commit8})\n"
        return f"{first}go version {self._go}\n" if self.triple >= (1, 20, 0) else first

    @property
    def _go(self) -> str:
        return _GO[max((minor for minor in _GO if minor <= self.triple[1]), default=20)]

    @property
    def fixed_state_directory(self) -> bool:
        """The state directory of rootlesskit is DATA/rootless, no longer a random directory.

        Source: K3s pkg/rootless/rootless.go, #9308.
        """
        return self._since({29: (2, 1), 28: (7, 1), 27: (11, 1), 26: (14, 1)})

    @property
    def reads_rootless_environment(self) -> bool:
        """The variables K3S_ROOTLESS_* are read (#6498).

        These are K3S_ROOTLESS_MTU, _CIDR, _ENABLE_IPV6, _PORT_DRIVER and _DISABLE_HOST_LOOPBACK.
        """
        return self._since({26: (0, 1), 25: (5, 1), 24: (9, 1), 23: (15, 1)})

    @property
    def reads_copyupdirs(self) -> bool:
        """K3S_ROOTLESS_COPYUPDIRS is read (#10386)."""
        return self._since({31: (2, 1), 30: (6, 1), 29: (10, 1), 28: (15, 1)})

    @property
    def reads_data_dir(self) -> bool:
        """K3S_DATA_DIR is read (commit 9111b1f77)."""
        return self._since({31: (0, 1), 30: (4, 1), 29: (8, 1), 28: (13, 1)})

    @property
    def ignores_missing_config(self) -> bool:
        """A missing config file that is named is ignored (commit f246bbc39)."""
        return self._since({31: (0, 1), 30: (4, 1), 29: (8, 1), 28: (13, 1)})

    @property
    def new_cidr_message(self) -> bool:
        """Host bits in the CIDR are refused with the newer message.

        Commit bed1f6688, March 2025; patches inferred.
        """
        return self._since({33: (0, 1), 32: (4, 1), 31: (8, 1), 30: (12, 1)})

    @property
    def validates_sysctls(self) -> bool:
        """The parent checks two sysctls (commit 67410d275)."""
        return self.triple >= (1, 20, 0)

    @property
    def covers_kernel_log(self) -> bool:
        """/dev/null is mounted over a /dev/kmsg that cannot be read (commit e672c988e)."""
        return self.triple >= (1, 21, 0)

    @property
    def runs_getsubids(self) -> bool:
        """Rootlesskit runs getsubids before it reads /etc/subuid.

        Rootlesskit does so since 1.1; K3s has it since 1.33.
        """
        return self.triple >= (1, 33, 0)

    @property
    def forwards_api_without_servicelb(self) -> bool:
        """The API port is forwarded even if servicelb is disabled (commit 782004bec)."""
        return self.triple >= (1, 17, 4)

    @property
    def forwards_node_ports(self) -> bool:
        """Node ports of LoadBalancer Services are forwarded too (#9512)."""
        return self._since({29: (3, 1), 28: (8, 1), 27: (12, 1), 26: (15, 1)})

    @property
    def forwards_udp(self) -> bool:
        """UDP ports are forwarded too, and log lines name the protocol (#13073)."""
        return self._since({35: (0, 1), 34: (3, 3), 33: (7, 3), 32: (11, 3)})

    @property
    def requires_delegation(self) -> bool:
        """Delegated cgroup v2 controllers are mandatory (#4065).

        1.21 ran without the controllers of the kubelet.
        """
        return self.triple >= (1, 22, 0)

    @property
    def validates_cgroups(self) -> bool:
        """The agent checks cpu, cpuset and memory (K3s pkg/cgroups/cgroups_linux.go)."""
        return self.triple >= (1, 21, 0)

    @property
    def version_reads_config(self) -> bool:
        """`--version` fails if config.yaml is unreadable.

        #4321; commit dc6c569b9 of June 2023, patches inferred.
        """
        return not self._since({27: (3, 1), 26: (6, 1), 25: (11, 1), 24: (15, 1)})

    @property
    def rotates_certificates(self) -> bool:
        """The command `k3s certificate rotate` exists.

        Commit 77fd3e99e of December 2021, #4495; patches inferred.
        """
        return self._since({23: (1, 1), 22: (5, 1), 21: (8, 1)})

    @property
    def rotates_keys(self) -> bool:
        """The command `k3s secrets-encrypt rotate-keys` works (#9340)."""
        return self._since({29: (2, 1), 28: (7, 1)})

    @property
    def nanoseconds(self) -> bool:
        """Log lines have nanoseconds: in a journal of 1.21, but not of later releases."""
        return self.triple < (1, 22, 0)

    @property
    def fatal_style(self) -> str:
        """Form of the last line of a server that exits: `plain`, `error` ("Error: ") or `shutdown`.

        The boundaries are inferred.
        """
        if self.triple < (1, 30, 0):
            return "plain"
        return "error" if self.triple < (1, 35, 0) else "shutdown"

    def last_message(self, message: str) -> Fatal:
        """Return the fatal error of a server in the form of this release."""
        if self.fatal_style == "shutdown":
            return Fatal(f"Shutdown request received: {goparse.quote(message)}", level="error")
        return Fatal(f"Error: {message}" if self.fatal_style == "error" else message)

    def component_died(self, message: str) -> Fatal:
        """Return the fatal error of a server after one of its components ended.

        Source: K3s pkg/daemons/executor.
        """
        return self.last_message(message) if self.fatal_style == "shutdown" else Fatal(message)

    @property
    def evacuation_broken(self) -> bool:
        """This release does not start rootless at all."""
        return self.version in _EVACUATION_BROKEN

    @property
    def extraction_broken(self) -> bool:
        """v1.20.0+k3s2 unpacks itself to /var/lib/rancher for every user (#2780)."""
        return self.version == "v1.20.0+k3s2"

    def _since(self, firsts: dict[int, tuple[int, int]]) -> bool:
        major, minor, patch = self.triple
        if (major, minor) > (1, max(firsts)):
            return True
        return minor in firsts and (patch, self.build) >= firsts[minor]
