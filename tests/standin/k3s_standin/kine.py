"""K3s's file DATA/server/db/state.db: the table of kine, with a few objects in protobuf.

The file holds only settings that a cluster keeps from its first start: the network of its node, and
the address of the Service `kubernetes`. The API of the stand-in answers from memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, \
created INTEGER, deleted INTEGER,
create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)"""
_ROW = (
    "INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value,"
    " old_value) VALUES (?, 1, 0, 0, 0, 0, ?, NULL)"
)
_NODES = "/registry/minions/"
_RELEASES = "/registry/configmaps/default/"
_API = "/registry/services/specs/default/kubernetes"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the datastore, and create it if it does not exist.

    Raises sqlite3.DatabaseError for a damaged file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute(_TABLE)
        yield store


def node_networks(path: Path) -> dict[str, str]:
    """Return the pod network of each node that the cluster knows."""
    with opened(path) as store:
        rows = store.execute(
            "SELECT name, value FROM kine WHERE name LIKE ?", (f"{_NODES}%",)
        ).fetchall()
    # The last field of the spec, as `_node` writes it.
    return {
        name.removeprefix(_NODES): bytes(value).rpartition(b"\x3a")[2][1:].decode()
        for name, value in rows
    }


def keep_node(path: Path, name: str, network: str) -> None:
    """Store a node; a known node keeps its network."""
    _keep(
        path,
        f"{_NODES}{name}",
        _object("v1", "Node", _field(1, network.encode()) + _field(7, network.encode())),
    )


def keep_api_service(path: Path, address: str) -> None:
    """Store the Service `kubernetes`; a known Service keeps its address."""
    spec = _field(3, address.encode()) + _field(4, b"ClusterIP") + _field(18, address.encode())
    _keep(path, _API, _object("v1", "Service", spec))


def keep_release(path: Path, version: str) -> None:
    """Store an object for each release that has started with this datastore."""
    name = f"started-{version}"
    _keep(path, f"{_RELEASES}{name}", _object("v1", "ConfigMap", b""))


def names(path: Path, prefix: str) -> set[str]:
    """Return the keys that begin with a prefix and are not deleted."""
    with opened(path) as store:
        rows = store.execute(
            "SELECT name, deleted, max(id) FROM kine WHERE name LIKE ? GROUP BY name",
            (f"{prefix}%",),
        ).fetchall()
    return {name for name, deleted, _ in rows if not deleted}


def store(path: Path, key: str, value: bytes) -> None:
    """Store a key, whether it exists or not."""
    with opened(path) as database:
        database.execute(_ROW, (key, value))


def remove(path: Path, key: str) -> None:
    """Delete a key: kine adds a row that says so."""
    with opened(path) as database:
        database.execute("INSERT INTO kine (name, created, deleted) VALUES (?, 0, 1)", (key,))


def _keep(path: Path, key: str, value: bytes) -> None:
    with opened(path) as store:
        if store.execute("SELECT 1 FROM kine WHERE name = ?", (key,)).fetchone() is None:
            store.execute(_ROW, (key, value))


def _object(version: str, kind: str, spec: bytes) -> bytes:
    # runtime.Unknown: its type, and the object, in which field 1 is the metadata and field 2 the
    # spec.
    kinds = _field(1, version.encode()) + _field(2, kind.encode())
    return b"k8s\x00" + _field(1, kinds) + _field(2, _field(1, b"") + _field(2, spec))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
