"""Every path that is read or owned, decided once from the environment.

Where K3s puts its files is K3s's own choice (its pkg/datadir and pkg/server, v1.21 to v1.36): the
data directory is `~/.rancher/k3s`, the kubeconfig `~/.kube/k3s.yaml`; flags can move both, which
`k3s.settings` knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.k3s import layout

UNIT = "k3s-rootless.service"
OUR_DROP_IN = re.compile(r"\d\d-k3s-rootless-[a-z]+\.conf")
"""The names of drop-ins of ours, beside which others lie."""
_ESCAPES = {ord(letter): f"\\{letter}" for letter in "\\\"'"}


@dataclass(frozen=True, slots=True)
class Paths:
    """The places of one user on one host.

    `root` is `/` outside tests; host files are read below it. `user_units` is where systemd's
    documentation puts units of the user; a running user manager is asked instead
    (`first_start.unit_directory`).
    """

    root: Path
    home: Path
    runtime: Path
    config: Path

    @classmethod
    def of(cls, environ: Mapping[str, str], uid: int, home: Path) -> Paths:
        """Decide the paths from the environment, the uid and the home directory that the user
        database names.
        """
        return cls(
            root=Path("/"),
            home=home,
            runtime=_absolute(environ.get("XDG_RUNTIME_DIR")) or Path(f"/run/user/{uid}"),
            config=_absolute(environ.get("XDG_CONFIG_HOME")) or home / ".config",
        )

    @property
    def user_units(self) -> Path:
        """The directory for units of this user."""
        return self.config / "systemd" / "user"

    @property
    def data(self) -> Path:
        """K3s's data directory by default."""
        return self.home / layout.DATA

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that rootless K3s writes at each start, by default."""
        return self.home / layout.KUBECONFIG

    @property
    def lock(self) -> Path:
        """The lock that keeps two changing commands of one user apart; gone with the session's
        runtime directory.
        """
        return self.runtime / "k3s-rootless.lock"

    @property
    def start_record(self) -> Path:
        """The hash of the files that the running K3s was started with; see
        `service.observe.start_record`.
        """
        return self.runtime / "k3s-rootless.started"


def linger_flag(user: str) -> str:
    r"""Return the name of the file in /var/lib/systemd/linger that exists while this user lingers.

    logind escapes the name like a string of C (seen with systemd 247, 252, 257 and 262): the file
    of `CORP\bob` has two backslashes.
    """
    name = user.encode("utf-8", "surrogateescape")
    return "".join(
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in name
    )


def _absolute(value: str | None) -> Path | None:
    # The XDG base directory specification (0.8) tells programs to ignore relative paths.
    return Path(value) if value and value.startswith("/") else None
