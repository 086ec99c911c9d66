"""Tests of copies of real SQLite datastores that other processes write meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from k3s_rootless.backup import database, names
from k3s_rootless.errors import RootlessError
from tests.backup.cluster import KINE, Cluster, opened

_WRITER = """
import os, sqlite3, sys, time
found = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
found.execute("PRAGMA journal_mode = WAL")
found.execute("PRAGMA synchronous = OFF")
print("ready", flush=True)
number = 0
next_at = time.monotonic()
while True:
    time.sleep(max(0, next_at - time.monotonic()))
    next_at = max(next_at + 0.02, time.monotonic())
    found.execute("BEGIN IMMEDIATE")
    for _ in range(100):
        number += 1
        found.execute("INSERT INTO kine (name, value) VALUES (?, ?)",
                      (f"{sys.argv[2]}/{number}", os.urandom(300)))
    last = found.execute("SELECT max(id) FROM kine").fetchone()[0]
    found.execute("DELETE FROM kine WHERE id % 7 = 0 AND id BETWEEN ? AND ?",
                  (last - 1500, last - 500))
    found.execute("COMMIT")
    print(number, flush=True)
"""


@contextmanager
def writers(file: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Run processes that each write up to 5,000 rows a second to a database."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(file), f"writer{number}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        for one in started:
            assert one.stdout
            assert one.stdout.readline() == "ready\n"
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


def committed(file: Path) -> set[tuple[int, str]]:
    """Return all rows that are committed now."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=60)) as found:
        return set(found.execute("SELECT id, name FROM kine WHERE id % 7 != 0"))


def test_a_live_copy_has_every_row_that_was_committed_before(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    opened(file).close()
    with writers(file, 2) as started:
        for number in range(6):
            # Wait for more commits, so that the copies differ and grow.
            assert started[0].stdout
            for _ in range(10):
                started[0].stdout.readline()
            before = committed(file)
            copy = tmp_path / f"copy{number}.db"

            database.copy_live(file, copy)

            assert not copy.with_name(f"{copy.name}-wal").exists()
            revision = database.check(copy)
            assert revision is not None
            assert before <= committed(copy)
            assert revision >= max(row for row, _ in before)


def test_a_live_copy_includes_the_write_ahead_log(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(opened(file)) as found:
        found.execute("PRAGMA wal_autocheckpoint = 0")
        found.executemany("INSERT INTO kine (name) VALUES (?)", [(f"{n}",) for n in range(1000)])
        found.commit()
        assert (tmp_path / "state.db-wal").stat().st_size > file.stat().st_size

        database.copy_live(file, tmp_path / "copy.db")

    assert database.check(tmp_path / "copy.db") == 1000
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_live_copy_changes_nothing_of_the_source(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(opened(file)) as found:
        found.execute("INSERT INTO kine (name) VALUES ('a')")
        found.commit()
        before = [(tmp_path / name).read_bytes() for name in names.DATABASE_FILES[:2]]

        database.copy_live(file, tmp_path / "copy.db")

        assert before == [(tmp_path / name).read_bytes() for name in names.DATABASE_FILES[:2]]


def test_a_killed_writer_does_not_prevent_a_copy(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    opened(file).close()
    with writers(file, 1) as started:
        assert started[0].stdout
        started[0].stdout.readline()
        os.kill(started[0].pid, signal.SIGKILL)
        started[0].wait()
        before = committed(file)

        database.copy_live(file, tmp_path / "copy.db")

    database.check(tmp_path / "copy.db")
    assert before <= committed(tmp_path / "copy.db")


def test_the_files_of_a_stopped_datastore_are_copied_together(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "copy").mkdir()
    file = tmp_path / "db/state.db"
    child = os.fork()
    if child == 0:
        # A process that is killed leaves its log behind.
        found = opened(file)
        found.execute("INSERT INTO kine (name) VALUES ('only in the log')")
        found.commit()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    copied = database.copy_stopped(file.parent, tmp_path / "copy")

    assert copied == names.DATABASE_FILES
    assert database.revision(tmp_path / "copy/state.db") == 1
    assert database.check(tmp_path / "copy/state.db") == 1


def test_a_damaged_datastore_is_found(cluster: Cluster) -> None:
    cluster.fill("more", rows=2000)
    data = bytearray(cluster.database.read_bytes())
    data[5000:9000] = os.urandom(4000)
    cluster.database.write_bytes(data)

    with pytest.raises(RootlessError, match="the datastore is damaged"):
        database.check(cluster.database)


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_file_that_is_no_datastore(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(content)

    if content:
        with pytest.raises(RootlessError, match="file is not a database"):
            database.copy_live(tmp_path / "state.db", tmp_path / "copy.db")
    else:
        database.copy_live(tmp_path / "state.db", tmp_path / "copy.db")
        assert database.check(tmp_path / "copy.db") is None


def test_a_missing_datastore(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="unable to open database file"):
        database.copy_live(tmp_path / "state.db", tmp_path / "copy.db")
    assert not (tmp_path / "state.db").exists()


def test_a_full_disk_is_reported(cluster: Cluster) -> None:
    cluster.fill("more", rows=5000)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            database.copy_live(cluster.database, cluster.place / "copy.db")
        except RootlessError as error:
            os._exit(0 if error.hint and "df -h" in error.hint else 2)
        os._exit(1)

    assert os.waitpid(child, 0)[1] == 0


def test_a_database_without_rows_has_no_revision(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as found:
        found.execute(KINE)

    assert database.check(tmp_path / "a.db") is None
