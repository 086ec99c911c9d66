"""A data directory of K3s with a real datastore, and backups of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless.backup import archive, files, staging
from k3s_rootless.backup.facts import Datastore, Manifest, Origin, Root, Source

KINE = (
    "CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER, created INTEGER,"
    " deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER,"
    " value BLOB, old_value BLOB)"
)
NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Cluster:
    """The directories of a cluster below `place`."""

    place: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.place / "home/.rancher/k3s"

    @property
    def home(self) -> Path:
        """The home directory."""
        return self.place / "home"

    @property
    def drop_ins(self) -> Path:
        """The drop-ins of the unit."""
        return self.place / "home/.config/systemd/user/k3s-rootless.service.d"

    @property
    def configuration(self) -> Path:
        """The configuration file of K3s."""
        return self.place / "home/k3s.yaml"

    @property
    def database(self) -> Path:
        """The datastore."""
        return self.data / "server/db/state.db"

    @property
    def roots(self) -> dict[Root, Path]:
        """The directories by the first part of names in an archive."""
        return {Root.DATA: self.data, Root.HOME: self.home, Root.UNIT: self.drop_ins}

    @property
    def origin(self) -> Origin:
        """The origin of backups."""
        roots = {root: str(path) for root, path in self.roots.items()}
        return Origin("alice", "node1", "x86_64", "v1.36.3+k3s1", roots)

    def make(self, text: str = "first") -> Cluster:
        """Write all kinds of files that K3s and its user have; `text` is in each of them."""
        write(self.data / "server/token", f"K10::server:{text}\n", 0o600)
        write(self.data / "server/tls/server-ca.crt", text, 0o644)
        write(self.data / "server/tls/etcd/peer.key", text, 0o600)
        write(self.data / "server/cred/passwd", text, 0o600)
        write(self.data / "server/manifests/mine.yaml", text, 0o600)
        write(self.data / "server/manifests/coredns.yaml", "packaged", 0o600)
        write(self.data / "server/manifests/metrics-server/a.yaml", "packaged", 0o600)
        write(self.data / "agent/etc/rancher/node/password", text, 0o600)
        write(self.data / "agent/etc/containerd/config.toml", "generated", 0o600)
        write(self.data / "agent/etc/containerd/config.toml.tmpl", text, 0o600)
        write(self.data / "agent/etc/containerd/config-v3.toml.d/a.toml", text, 0o600)
        write(self.data / "etc/rancher/k3s/registries.yaml", text, 0o600)
        write(self.data / f"data/{'a' * 64}/bin/k3s", "program", 0o755)
        write(self.drop_ins / "50-k3s-rootless-environment.conf", text, 0o600)
        write(self.drop_ins / "override.conf", "mine", 0o644)
        write(self.configuration, text, 0o644)
        self.fill(text)
        return self

    def fill(self, text: str, rows: int = 20) -> None:
        """Write rows to the datastore, and close it."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        with closing(opened(self.database)) as found:
            found.executemany(
                "INSERT INTO kine (name, value) VALUES (?, ?)",
                [(f"/registry/{text}/{number}", os.urandom(50)) for number in range(rows)],
            )
            found.commit()

    def rows(self) -> list[tuple[int, str]]:
        """Return the rows of the datastore."""
        with closing(opened(self.database)) as found:
            return list(found.execute("SELECT id, name FROM kine ORDER BY id"))

    def back_up(self, target: Path, **changed: object) -> Manifest:
        """Write a backup of the stopped cluster."""
        with staging.directory(target.parent / "staging") as folder:
            sources = [
                *files.collect(self.data, self.home, self.drop_ins, [self.configuration]).sources,
                Source(self.database, "data/server/db/state.db"),
            ]
            entries = tuple(one for source in sources if (one := staging.copy(source, folder)))
            content = {
                "created": NOW,
                "tool": "1.0",
                "origin": self.origin,
                "datastore": Datastore.SQLITE,
                "live": False,
                "revision": None,
                "entries": entries,
                "left_out": (),
            }
            manifest = Manifest(**{**content, **changed})  # type: ignore[arg-type]
            archive.write(target, manifest, folder, force=True)
        return manifest

    def snapshot(self) -> dict[str, bytes]:
        """Return the content of all files, by path."""
        return {
            str(path.relative_to(self.place)): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file()
        }


def opened(path: Path) -> sqlite3.Connection:
    """Open a datastore as kine does: with a write-ahead log."""
    found = sqlite3.connect(path, timeout=30)
    found.execute("PRAGMA journal_mode = WAL")
    if found.execute("SELECT 1 FROM sqlite_master WHERE name = 'kine'").fetchone() is None:
        found.execute(KINE)
        found.commit()
    return found


_KILLED = """
import os, signal, sqlite3, sys
found = sqlite3.connect(sys.argv[1])
found.execute("PRAGMA journal_mode = WAL")
found.execute("INSERT INTO kine (name) VALUES (?)", (sys.argv[2],))
found.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def insert_and_die(path: Path, name: str) -> None:
    """Insert a row as a K3s that is killed: the write-ahead log and its index stay."""
    subprocess.run([sys.executable, "-c", _KILLED, str(path), name], check=False)
    assert path.with_name(f"{path.name}-shm").exists()


def write(path: Path, text: str, mode: int) -> None:
    """Write a file, with its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
