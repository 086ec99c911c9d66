"""All paths that are read or owned, derived once from the environment.

K3s chooses the paths of its files (its pkg/datadir and pkg/server, v1.21 to v1.36): the data
directory is `~/.rancher/k3s`, the kubeconfig `~/.kube/k3s.yaml`. Flags can change both;
`k3s.settings` resolves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.k3s import layout

UNIT = "k3s-rootless.service"
FOREGROUND = "k3s-rootless-run.service"
"""The transient unit of `run`."""
BACKUP_TIMER = "k3s-rootless-backup.timer"
OUR_DROP_IN = re.compile(r"\d\d-k3s-rootless-[a-z]+\.conf")
"""The names of our own drop-ins; other programs may have drop-ins in the same directory."""
CHANNELS = "channels.json"
"""The last answers of K3s's channels, in the directory of k3s-rootless itself."""
_ESCAPES = {ord(letter): f"\\{letter}" for letter in "\\\"'"}


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one user on one host.

    `root` is `/` outside tests; files of the host are read below it. `user_units` is the directory
    for the user's units in systemd's documentation; if a user manager is running, its own answer is
    used instead (`first_start.unit_directory`). `share` is XDG_DATA_HOME, None for its default.
    """

    root: Path
    home: Path
    runtime: Path
    config: Path
    share: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], uid: int, home: Path) -> Paths:
        """Derive the paths from the environment, the uid and the home directory (user database)."""
        return cls(
            root=Path("/"),
            home=home,
            runtime=_absolute(environ.get("XDG_RUNTIME_DIR")) or Path(f"/run/user/{uid}"),
            config=_absolute(environ.get("XDG_CONFIG_HOME")) or home / ".config",
            share=_absolute(environ.get("XDG_DATA_HOME")),
        )

    @property
    def user_units(self) -> Path:
        """The directory for units of this user."""
        return self.config / "systemd" / "user"

    @property
    def own(self) -> Path:
        """The directory of k3s-rootless itself: releases of K3s, and backups."""
        return (self.share or self.home / ".local" / "share") / "k3s-rootless"

    @property
    def settings(self) -> Path:
        """The settings of k3s-rootless itself."""
        return self.config / "k3s-rootless" / "settings.json"

    @property
    def data(self) -> Path:
        """The default data directory of K3s."""
        return self.home / layout.DATA

    @property
    def kubeconfig(self) -> Path:
        """The default path of the kubeconfig that rootless K3s writes at each start."""
        return self.home / layout.KUBECONFIG

    @property
    def backups(self) -> Path:
        """The directory of the backups of this user."""
        return self.own / "backups"

    @property
    def transaction(self) -> Path:
        """The record of a command that is not finished: K3s is stopped, or its files change."""
        return self.own / "transaction.json"

    @property
    def token_rotation(self) -> Path:
        """The record of a rotation of the token that is not finished. It contains secrets."""
        return self.own / "token-rotation.json"

    @property
    def earlier_tokens(self) -> Path:
        """The tokens that were replaced, which earlier backups need. They are secrets."""
        return self.own / "earlier-tokens.json"

    @property
    def encryption_change(self) -> Path:
        """The record of a change of the encryption of Secrets that is not finished."""
        return self.own / "encryption-change.json"

    @property
    def scheduled_record(self) -> Path:
        """The record of the last scheduled backup."""
        return self.backups / "scheduled.json"

    @property
    def lock(self) -> Path:
        """The lock that prevents two commands of one user from making changes at the same time.

        It is removed together with the runtime directory of the session.
        """
        return self.runtime / "k3s-rootless.lock"

    @property
    def foreground(self) -> Path:
        """The file that exists while `run` runs K3s; the process of `run` holds a lock on it."""
        return self.runtime / "k3s-rootless-run.lock"

    @property
    def start_record(self) -> Path:
        """The hash of the files that the running K3s was started with.

        See `service.observe.start_record`.
        """
        return self.runtime / "k3s-rootless.started"


def linger_flag(user: str) -> str:
    r"""Return the name of the file in /var/lib/systemd/linger that exists while this user lingers.

    logind escapes the name like a C string (seen with systemd 247, 252, 257 and 262): the file of
    `CORP\bob` has two backslashes.
    """
    name = user.encode("utf-8", "surrogateescape")
    return "".join(
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in name
    )


def _absolute(value: str | None) -> Path | None:
    # The XDG base directory specification (0.8) requires programs to ignore relative paths.
    return Path(value) if value and value.startswith("/") else None
