"""Probe of what a cluster keeps, in K3s's datastore, of the settings that it was created with.

These are the names and networks of its nodes, and the address of the Service `kubernetes`. K3s
keeps Kubernetes' objects in SQLite, in kine's table, under their keys in etcd and in Kubernetes'
protobuf (its pkg/generated; seen with v1.21 and v1.36.3). The file is opened read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.k3s import layout, protobuf
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Cluster, Registered

if TYPE_CHECKING:
    from sqlite3 import Connection

_SECONDS = 1.0
_NODES = "/registry/minions/"
_API_SERVICE = "/registry/services/specs/default/kubernetes"
_LIVE = (
    "SELECT name, value FROM kine WHERE deleted = 0 AND id IN "
    "(SELECT max(id) FROM kine WHERE name >= ? AND name < ? GROUP BY name) LIMIT 100"
)


def cluster(data: Path) -> Observed[Cluster]:
    """Return what the cluster in a data directory keeps; an empty record for a new cluster.

    The result is Unknown if the datastore is not SQLite, or cannot be read.
    """
    file = data / layout.SQLITE
    if not file.exists():
        if (file.parent / "etcd").exists():
            return Unknown("the datastore is etcd, which k3s-rootless does not read")
        return Known(Cluster((), ()), str(file))
    try:
        # Imported here, because the Python of some distributions does not include it.
        import sqlite3
    except ImportError:
        return Unknown("the datastore cannot be read: this Python has no module sqlite3")
    # Without a write-ahead log, SQLite does not have to write beside the file.
    mode = "immutable=1"
    if file.with_name("state.db-wal").exists():
        mode = "mode=ro"
    try:
        found = sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=_SECONDS)
    except sqlite3.Error as error:
        return Unknown(f"{file} cannot be read: {error}")
    try:
        nodes = tuple(_node(name, value) for name, value in _live(found, _NODES, f"{_NODES}\x7f"))
        services = _live(found, _API_SERVICE, f"{_API_SERVICE}\x00")
        addresses = tuple(one for _, value in services for one in _texts(_spec(value), 3, 18))
    except (sqlite3.Error, ValueError) as error:
        return Unknown(f"{file} cannot be read: {error}")
    finally:
        found.close()
    return Known(Cluster(nodes, tuple(dict.fromkeys(addresses))), str(file))


def _live(found: Connection, first: str, end: str) -> Iterator[tuple[str, bytes]]:
    for name, value in found.execute(_LIVE, (first, end)):
        yield str(name), bytes(value)


def _node(name: str, value: bytes) -> Registered:
    networks = dict.fromkeys(_texts(_spec(value), 1, 7))
    return Registered(name.removeprefix(_NODES), tuple(networks))


def _spec(value: bytes) -> bytes:
    """Return the spec of an object, its field 2."""
    return protobuf.first(protobuf.stored(value), protobuf.OBJECT, 2)


def _texts(message: bytes, *numbers: int) -> Iterator[str]:
    for one in protobuf.fields(message):
        if one.number in numbers and one.content:
            yield one.content.decode("utf-8", "replace")
