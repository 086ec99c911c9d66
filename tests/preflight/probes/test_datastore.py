"""Tests of reading what a cluster keeps in its SQLite datastore.

One datastore is written by the stand-in, and one is from a real K3s.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.check.selection import judge
from k3s_rootless.preflight.probes import datastore
from k3s_rootless.preflight.records import Cluster, Datastore, Registered
from tests.standin.k3s_standin import kine as standin
from tests.strategies import UID, facts

# The Service `kubernetes` of a K3s v1.36.3, as its datastore holds it.
REAL = Path(__file__).parents[2] / "data/api-service.bin"


def database(data: Path) -> Path:
    return data / "server/db/state.db"


def written(data: Path) -> Path:
    """Write a datastore with some pages, and return its file."""
    for number in range(50):
        standin.keep_node(database(data), f"node-{number}", "10.42.0.0/24")
    return database(data)


def state(data: Path) -> Datastore:
    found = datastore.state(data, os.getuid())
    assert isinstance(found, Known), found
    return found.value


def test_an_absent_or_intact_datastore_is_no_problem(tmp_path: Path) -> None:
    assert Datastore(os.getuid()) == state(tmp_path)
    written(tmp_path)
    assert Datastore(os.getuid()) == state(tmp_path)


@pytest.mark.parametrize(
    ("offset", "content", "problem"),
    [
        (0, b"x" * 16, "file is not a database"),
        (4096, b"\xff" * 4096, "in database main"),
    ],
    ids=["header", "page"],
)
def test_a_damaged_datastore_is_named(
    tmp_path: Path, offset: int, content: bytes, problem: str
) -> None:
    with written(tmp_path).open("r+b") as file:
        file.seek(offset)
        file.write(content)

    found = state(tmp_path)

    assert found.damaged
    assert problem in found.problem


@pytest.mark.parametrize("left", [0, 4096, 8192])
def test_a_datastore_that_is_cut_off_is_damaged(tmp_path: Path, left: int) -> None:
    file = written(tmp_path)
    os.truncate(file, left)

    assert state(tmp_path).damaged


def test_a_datastore_of_another_user_is_not_damaged(tmp_path: Path) -> None:
    written(tmp_path)

    found = datastore.state(tmp_path, os.getuid() + 1)

    assert isinstance(found, Known)
    assert Datastore(os.getuid(), "it belongs to another user") == found.value


def test_a_datastore_that_cannot_be_reached_is_unknown(tmp_path: Path) -> None:
    database(tmp_path).parent.parent.mkdir()
    database(tmp_path).parent.write_text("a file")

    assert isinstance(datastore.state(tmp_path, os.getuid()), Unknown)


def test_the_check_of_a_datastore_writes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path)
    before = {one.name: one.stat().st_mtime_ns for one in file.parent.iterdir()}

    state(tmp_path)

    assert before == {one.name: one.stat().st_mtime_ns for one in file.parent.iterdir()}


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (None, "no backup that can be restored"),
        (timedelta(minutes=119), "which is 119 minutes old"),
        (timedelta(hours=47), "which is 47 hours old"),
        (timedelta(days=2), "which is 2 days old"),
    ],
)
def test_a_damaged_datastore_is_replaced_by_the_newest_good_backup(
    age: timedelta | None, text: str
) -> None:
    backup = None if age is None else ("/b/a b.tar.gz", age)
    host = facts(datastore=Known(Datastore(UID, "malformed", damaged=True, backup=backup), "/d/x"))

    (found,) = (one for one in judge(host) if one.check == "storage.datastore")

    assert found.remedy is not None
    assert text in found.remedy.text
    if backup is not None:
        assert ("k3s-rootless backup restore '/b/a b.tar.gz'",) == found.remedy.commands


def known(data: Path) -> Cluster:
    found = datastore.cluster(data)
    assert isinstance(found, Known), found
    return found.value


def test_a_new_cluster_has_no_nodes_and_no_addresses(tmp_path: Path) -> None:
    assert Cluster((), ()) == known(tmp_path)


def test_nodes_and_the_address_of_the_api_are_found(tmp_path: Path) -> None:
    standin.keep_node(database(tmp_path), "node-1", "10.42.0.0/24")
    standin.keep_node(database(tmp_path), "node-1", "10.99.0.0/24")
    standin.keep_node(database(tmp_path), "node-2", "10.42.1.0/24")
    standin.keep_api_service(database(tmp_path), "10.43.0.1")

    nodes = (Registered("node-1", ("10.42.0.0/24",)), Registered("node-2", ("10.42.1.0/24",)))
    assert Cluster(nodes, ("10.43.0.1",)) == known(tmp_path)


def test_an_object_of_a_real_k3s_is_read(tmp_path: Path) -> None:
    standin.keep_api_service(database(tmp_path), "192.0.2.1")
    with closing(sqlite3.connect(database(tmp_path))) as store, store:
        store.execute("UPDATE kine SET value = ?", (REAL.read_bytes(),))

    assert ("10.43.0.1",) == known(tmp_path).addresses


def test_only_the_newest_row_of_an_object_counts(tmp_path: Path) -> None:
    standin.keep_node(database(tmp_path), "node-1", "10.42.0.0/24")
    with closing(sqlite3.connect(database(tmp_path))) as store, store:
        store.execute(
            "INSERT INTO kine (name, created, deleted, value) VALUES ('/registry/minions/node-1',"
            " 0, 1, x'')"
        )
        store.execute(
            "INSERT INTO kine (name, created, deleted, value) VALUES ('/registry/minionsx', 1, 0,"
            " x'00')"
        )

    assert Cluster((), ()) == known(tmp_path)


def test_reading_changes_no_file(tmp_path: Path) -> None:
    standin.keep_node(database(tmp_path), "node-1", "10.42.0.0/24")
    for left in database(tmp_path).parent.glob("state.db-*"):
        left.unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    known(tmp_path)

    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_datastore_in_use_is_read(tmp_path: Path) -> None:
    standin.keep_node(database(tmp_path), "node-1", "10.42.0.0/24")
    with closing(sqlite3.connect(database(tmp_path))) as store:
        store.execute("BEGIN IMMEDIATE")
        store.execute("DELETE FROM kine")
        assert 1 == len(known(tmp_path).nodes)


def reason(found: Observed[Cluster]) -> str:
    assert isinstance(found, Unknown), found
    return found.reason


def test_etcd_and_a_damaged_file_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "server/db/etcd").mkdir(parents=True)
    assert "etcd" in reason(datastore.cluster(tmp_path))
    database(tmp_path).write_bytes(b"rubbish" * 1000)
    assert "cannot be read" in reason(datastore.cluster(tmp_path))
    database(tmp_path).write_bytes(b"")
    assert "cannot be read" in reason(datastore.cluster(tmp_path))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.binary(max_size=60).map(lambda rest: b"k8s\x00" + rest) | st.binary(max_size=20))
def test_any_value_in_the_datastore_is_read_without_an_error(tmp_path: Path, value: bytes) -> None:
    path = database(tmp_path)
    path.unlink(missing_ok=True)
    standin.keep_node(path, "node-1", "10.42.0.0/24")
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE kine SET value = ?", (value,))

    assert datastore.cluster(tmp_path)


@pytest.mark.parametrize("length", [1, 30, 60])
def test_a_truncated_value_is_unknown(tmp_path: Path, length: int) -> None:
    standin.keep_node(database(tmp_path), "node-1", "10.42.0.0/24")
    with closing(sqlite3.connect(database(tmp_path))) as store, store:
        store.execute(
            "UPDATE kine SET value = substr(value, 1, length(value) - ?)", (min(length, 30),)
        )

    assert reason(datastore.cluster(tmp_path))
