"""Probes of K3s's datastore: can K3s use it, and which settings of the cluster does it keep.

These settings are the names and networks of its nodes, and the address of the Service `kubernetes`.
K3s keeps Kubernetes' objects in SQLite, in kine's table, under their keys in etcd and in
Kubernetes' protobuf (its pkg/generated; seen with v1.21 and v1.36.3). The file is opened read-only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.k3s import layout, protobuf
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Cluster, Datastore, Registered

if TYPE_CHECKING:
    from sqlite3 import Connection
    from types import ModuleType

_SECONDS = 1.0
_INSTRUCTIONS = 10_000
"""Of SQLite's virtual machine, between two looks at the clock."""
_NO_SQLITE = Unknown("the datastore cannot be read: this Python has no module sqlite3")
_NODES = "/registry/minions/"
_API_SERVICE = "/registry/services/specs/default/kubernetes"
_LIVE = (
    "SELECT name, value FROM kine WHERE deleted = 0 AND id IN "
    "(SELECT max(id) FROM kine WHERE name >= ? AND name < ? GROUP BY name) LIMIT 100"
)


def state(data: Path, uid: int) -> Observed[Datastore]:
    """Return whether K3s of user `uid` can use the datastore; an absent one is no problem.

    SQLite's own check runs for at most a second: a large datastore is then only partly checked. The
    result is Unknown if the datastore is not SQLite, or if SQLite cannot check it.
    """
    file = data / layout.SQLITE
    try:
        found = file.stat()
    except FileNotFoundError:
        return Known(Datastore(uid), str(file))
    except OSError as error:
        return Unknown(f"{file} cannot be read: {(error.strerror or str(error)).lower()}")
    if found.st_uid != uid:
        return Known(Datastore(found.st_uid, "it belongs to another user"), str(file))
    if not os.access(file, os.R_OK | os.W_OK):
        return Known(Datastore(uid, "its mode does not let you read and write it"), str(file))
    problem = _content_problem(file)
    if isinstance(problem, Unknown):
        return problem
    return Known(Datastore(uid, problem.value, damaged=bool(problem.value)), str(file))


def _content_problem(file: Path) -> Observed[str]:
    """Return what is damaged in a database, as an empty text if nothing is."""
    # SQLite and K3s take an empty file for a new database.
    if not file.stat().st_size:
        return Known("the file is empty")
    sqlite = _module()
    if sqlite is None:
        return _NO_SQLITE
    try:
        with _opened(sqlite, file) as store:
            return Known(_damage(store))
    except sqlite.OperationalError as error:
        return Unknown(f"{file} cannot be read: {error}")
    except sqlite.DatabaseError as error:
        return Known(str(error))


def cluster(data: Path) -> Observed[Cluster]:
    """Return what the cluster in a data directory keeps; an empty record for a new cluster.

    The result is Unknown if the datastore is not SQLite, or cannot be read.
    """
    file = data / layout.SQLITE
    if not file.exists():
        if (file.parent / "etcd").exists():
            return Unknown("the datastore is etcd, which k3s-rootless does not read")
        return Known(Cluster((), ()), str(file))
    sqlite = _module()
    if sqlite is None:
        return _NO_SQLITE
    try:
        with _opened(sqlite, file) as store:
            nodes = tuple(
                _node(name, value) for name, value in _live(store, _NODES, f"{_NODES}\x7f")
            )
            services = _live(store, _API_SERVICE, f"{_API_SERVICE}\x00")
            addresses = tuple(one for _, value in services for one in _texts(_spec(value), 3, 18))
    except (sqlite.Error, ValueError) as error:
        return Unknown(f"{file} cannot be read: {error}")
    return Known(Cluster(nodes, tuple(dict.fromkeys(addresses))), str(file))


def _module() -> ModuleType | None:
    try:
        # Imported here, because the Python of some distributions does not include it.
        import sqlite3
    except ImportError:
        return None
    return sqlite3


@contextmanager
def _opened(sqlite: ModuleType, file: Path) -> Iterator[Connection]:
    """Open a database to read it. Raises sqlite3.Error."""
    # Without a write-ahead log, SQLite does not have to write beside the file.
    mode = "immutable=1"
    if file.with_name("state.db-wal").exists():
        mode = "mode=ro"
    store = sqlite.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=_SECONDS)
    try:
        yield store
    finally:
        store.close()


def _damage(store: Connection) -> str:
    """Return what is damaged in a database; empty if nothing was found within a second.

    Raises sqlite3.DatabaseError.
    """
    deadline = time.monotonic() + _SECONDS
    interrupted = False

    def is_late() -> bool:
        nonlocal interrupted
        interrupted = time.monotonic() > deadline
        return interrupted

    store.set_progress_handler(is_late, _INSTRUCTIONS)
    try:
        (answer,) = store.execute("PRAGMA quick_check(1)").fetchone()
    except Exception:
        if interrupted:
            return ""
        raise
    return "" if answer == "ok" else str(answer).replace("\n", " ")


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
