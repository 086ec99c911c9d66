"""A K3s for tests of backups: its files, and its stop and start without systemd."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless.backup import copies
from k3s_rootless.backup.facts import UNKNOWN, Expected, Switch
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.operations.context import Context
from tests.backup.cluster import opened, write


def make(data: Path, text: str = "first") -> None:
    """Write files of a cluster; `text` is in each of them."""
    for name in ("token", "tls/server-ca.crt", "tls/a.key", "cred/passwd", "manifests/mine.yaml"):
        write(data / "server" / name, text, 0o600)
    write(data / "agent/etc/rancher/node/password", text, 0o600)
    database = data / "server/db/state.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(opened(database)) as found:
        found.execute("DELETE FROM kine")
        found.executemany("INSERT INTO kine (name) VALUES (?)", [(text,)] * 10)
        found.commit()


def rows(data: Path) -> set[str]:
    """Return the names in the datastore."""
    with closing(opened(data / "server/db/state.db")) as found:
        return {name for (name,) in found.execute("SELECT name FROM kine")}


def content(data: Path) -> dict[str, bytes]:
    """Return the content of all files, by path."""
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file()
    }


@dataclass
class FakeCluster:
    """The other side of a restore: a K3s that writes to its datastore while it runs.

    With `ready` False, it does not get ready with the files of the backup.
    """

    context: Context
    data: Path
    ready: bool = True
    running: bool = True
    held: bool = False
    settings: Expected | None = None
    access: InNamespace | None = None
    calls: list[str] = field(default_factory=list)

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self.running

    def stop(self) -> None:
        """Stop."""
        self.calls.append("stop")
        self.running = False

    def hold(self) -> None:
        """Prevent a start."""
        assert not self.running
        self.calls.append("hold")
        self.held = True

    def release(self) -> None:
        """Allow a start."""
        self.calls.append("release")
        self.held = False

    def switch(self, switch: Switch) -> None:
        """Use another release."""
        raise NotImplementedError

    def switch_back(self, switch: Switch) -> None:
        """Use the earlier release."""
        raise NotImplementedError

    def require(self, expected: Expected) -> None:
        """Compare the settings with the expected ones, which are unknown without a unit."""
        if self.settings is not None and expected not in {self.settings, UNKNOWN}:
            raise RootlessError("other settings")

    def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
        """Write etcd from a snapshot, as K3s does."""
        del expected
        assert self.held
        assert not self.running
        self.calls.append("read snapshot")
        copies.remove(self.data / "server/db/etcd")
        write(self.data / "server/db/etcd/name", "node-1", 0o600)
        database = self.data / "server/db/etcd/member/snap/db"
        database.parent.mkdir(parents=True)
        database.write_bytes(snapshot.read_bytes()[:-32])
        (database.parent.parent / "wal").mkdir()
        write(self.data / "server/db/reset-flag", "", 0o600)

    def volume_access(self) -> InNamespace:
        """Return a way into a namespace."""
        assert self.access
        return self.access

    def start(self) -> None:
        """Start, and write as K3s does."""
        assert not self.held
        self.calls.append("start")
        self.running = True
        write(self.data / "server/manifests/coredns.yaml", "packaged", 0o600)
        if (self.data / "server/db/etcd").exists():
            write(self.data / "server/db/etcd/config", "", 0o600)
            return
        write(self.data / "server/db/state.db-shm", "", 0o600)
        os.utime(self.data / "server/db/state.db")

    def wait(self, release: str = "") -> None:
        """Wait."""
        assert not release
        self.calls.append("wait")
        if not self.ready and (self.data / "server/token").read_text() == "first":
            raise NotReady("K3s was not ready within 5 s")
