"""Tests of backups of a running and of a stopped K3s."""

from __future__ import annotations

import json
import os
import signal
import stat
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup import verify
from k3s_rootless.backup.facts import Kind, Phase, Record
from k3s_rootless.errors import RootlessError, UsageError, WouldOverwrite
from k3s_rootless.operations import restart
from k3s_rootless.operations import stop as stopping
from k3s_rootless.operations.backup import create, kept, surroundings, unfinished
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.paths import UNIT
from tests.backup.cluster import Cluster, insert_and_die, opened
from tests.fakes.session import Session
from tests.operations import unit
from tests.operations.backup import k3s

REQUEST = create.Request()


@pytest.fixture
def data(bus: Session, home: Path, context: Context) -> Path:
    """Return the data directory of an installed K3s."""
    unit.write_k3s(home)
    found = unit.write(bus, home)
    k3s.make(found)
    return found


def start(context: Context) -> None:
    """Start the unit."""
    with context.manager() as manager:
        manager.start(UNIT)


def test_a_backup_of_a_running_k3s(context: Context, data: Path, events: list[Event]) -> None:
    start(context)
    with closing(opened(data / "server/db/state.db")) as found:
        found.execute("INSERT INTO kine (name) VALUES ('only in the log')")
        found.commit()

        created = create.create(context, REQUEST)

    assert created.manifest.live
    assert created.downtime is None
    assert created.manifest.origin.k3s == unit.VERSION
    assert created.path.parent == context.paths.backups
    assert stat.S_IMODE(created.path.stat().st_mode) == 0o600
    names = {one.name for one in created.manifest.entries}
    assert "data/server/db/state.db" in names
    assert "data/server/db/state.db-wal" not in names
    assert kept.verified(context, created.path).manifest == created.manifest
    assert created.manifest.revision == 11
    assert "copying the datastore while K3s runs" in unit.notices(events)
    assert [created.path] == list(context.paths.backups.iterdir())


def test_a_backup_of_a_stopped_k3s(context: Context, data: Path) -> None:
    created = create.create(context, REQUEST)

    assert not created.manifest.live
    assert kept.verified(context, created.path).manifest.revision == 10
    document = create.document(created)
    assert document["backup"]["datastore"] == "sqlite"
    assert document["downtime"] is None


def test_a_backup_of_a_k3s_that_was_killed_has_its_write_ahead_log(
    context: Context, data: Path
) -> None:
    insert_and_die(data / "server/db/state.db", "only in the log")

    created = create.create(context, REQUEST)

    assert kept.verified(context, created.path).manifest.revision == 11
    names = {one.name for one in created.manifest.entries}
    assert {"data/server/db/state.db-wal", "data/server/db/state.db-shm"} <= names


def test_a_k3s_is_stopped_for_a_backup_and_started_again(
    context: Context, data: Path, events: list[Event]
) -> None:
    start(context)
    with context.manager() as manager:
        here = surroundings.read(context, manager)
    cluster = k3s.FakeCluster(context, data)

    created = create.write(context, create.Request(stop=True), here, cluster)

    assert cluster.calls == ["stop", "start"]
    assert created.downtime is not None
    assert not created.manifest.live


def test_a_k3s_is_started_again_if_the_copy_fails(context: Context, data: Path) -> None:
    start(context)
    with context.manager() as manager:
        here = surroundings.read(context, manager)
    cluster = k3s.FakeCluster(context, data)
    (data / "server/db/state.db").write_bytes(b"no database" * 1000)

    with pytest.raises(RootlessError):
        create.write(context, create.Request(stop=True), here, cluster)

    assert cluster.running
    assert [] == list(context.paths.backups.iterdir())


def test_a_damaged_datastore_leaves_no_backup(context: Context, data: Path) -> None:
    file = data / "server/db/state.db"
    content = bytearray(file.read_bytes())
    content[4096:4100] = b"\xff" * 4
    file.write_bytes(content)

    with pytest.raises(RootlessError, match=r"damaged|malformed"):
        create.create(context, REQUEST)

    assert [] == list(context.paths.backups.iterdir())


def test_an_external_datastore_is_reported(context: Context, home: Path, bus: Session) -> None:
    unit.write(bus, home, "--datastore-endpoint=mysql://u:secret@x")

    with pytest.raises(RootlessError, match="its datastore is external") as error:
        create.create(context, REQUEST)

    assert "its own programs" in (error.value.hint or "")
    assert "secret" not in error.value.message


def test_a_cluster_that_was_never_started(context: Context, home: Path, bus: Session) -> None:
    unit.write(bus, home)

    with pytest.raises(RootlessError, match="contains no datastore"):
        create.create(context, REQUEST)


def test_an_existing_file_is_replaced_only_by_force(
    context: Context, data: Path, home: Path
) -> None:
    file = home / "config/a.tar.gz"
    file.write_text("mine")

    with pytest.raises(WouldOverwrite):
        create.create(context, create.Request(file))
    assert file.read_text() == "mine"

    create.create(context, create.Request(file, force=True))
    verify.read(file)


def test_an_unknown_data_directory(context: Context, home: Path, bus: Session) -> None:
    (home / "bad.yaml").write_text("a: [")
    (bus.units / UNIT).write_text(
        f"[Service]\nExecStart=/usr/local/bin/k3s server --config={home}/bad.yaml\n"
    )

    with pytest.raises(UsageError, match="cannot find the data directory"):
        create.create(context, REQUEST)


def test_the_list_has_each_backup_and_each_file_that_is_none(context: Context, data: Path) -> None:
    assert kept.kept(context) == ()
    created = create.create(context, REQUEST)
    (context.paths.backups / "junk.tar.gz").write_text("junk")

    found = kept.kept(context)

    assert [one.path.name for one in found] == ["junk.tar.gz", created.path.name]
    assert "damaged" in found[0].problem
    document = kept.list_document(context, found)
    assert document["backups"][0]["file"] == str(created.path)
    assert document["unusable"][0]["size"] == 4
    assert kept.path_of(context, Path(created.path.name)) == created.path
    assert kept.path_of(context, Path("missing")) == Path("missing")


def test_a_damaged_database_in_an_undamaged_archive(context: Context, home: Path) -> None:
    place = home / "config"
    cluster = Cluster(place).make()
    cluster.database.write_bytes(b"no database" * 1000)
    cluster.back_up(place / "a.tar.gz")

    verify.read(place / "a.tar.gz")
    with pytest.raises(RootlessError, match="the datastore is damaged"):
        kept.verified(context, place / "a.tar.gz")


@pytest.fixture
def running(context: Context, data: Path) -> surroundings.Surroundings:
    """Return the surroundings of a running K3s."""
    start(context)
    with context.manager() as manager:
        return surroundings.read(context, manager)


def stop(context: Context) -> None:
    """Stop the unit."""
    with context.manager() as manager:
        manager.stop(UNIT)


def test_a_backup_killed_while_k3s_is_stopped_is_reported_and_k3s_started_again(
    context: Context, data: Path, running: surroundings.Surroundings, events: list[Event]
) -> None:
    class Killed(k3s.FakeCluster):
        def stop(self) -> None:
            stop(self.context)
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        create.write(context, create.Request(stop=True), running, Killed(context, data))
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with context.manager() as manager:
        found = unfinished.find(context, manager.unit(UNIT))
    assert found
    assert found.document() == {
        "what": "backup create",
        "problem": "a backup with --stop was interrupted after it had stopped K3s",
        "commands": [{"does": "start K3s", "command": "k3s-rootless up"}],
    }

    created = create.create(context, REQUEST)

    assert created.manifest.live
    assert not context.paths.transaction.exists()
    assert unit.notices(events)[0].startswith("starting K3s: a backup with --stop was interrupted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("when", ["stop", "copy", "start"])
def test_a_signal_does_not_leave_k3s_stopped(
    number: signal.Signals,
    when: str,
    context: Context,
    data: Path,
    running: surroundings.Surroundings,
) -> None:
    def interrupt(_: Event) -> None:
        os.kill(os.getpid(), number)

    class Interrupted(k3s.FakeCluster):
        def stop(self) -> None:
            super().stop()
            if when == "stop":
                interrupt(Notice(""))

        def start(self) -> None:
            if when == "start":
                interrupt(Notice(""))
            super().start()

    if when == "copy":
        context = replace(context, listener=interrupt)
    cluster = Interrupted(context, data)

    with pytest.raises(KeyboardInterrupt):
        create.write(context, create.Request(stop=True), running, cluster)

    assert cluster.calls == ["stop", "start"]
    assert not context.paths.transaction.exists()
    assert [] == list(context.paths.backups.iterdir())


def test_the_record_remains_if_k3s_cannot_be_started_again(
    context: Context, data: Path, running: surroundings.Surroundings
) -> None:
    class Stuck(k3s.FakeCluster):
        def start(self) -> None:
            raise RootlessError("it does not start")

    with pytest.raises(RootlessError, match="it does not start"):
        create.write(context, create.Request(stop=True), running, Stuck(context, data))

    stop(context)
    with context.manager() as manager:
        assert unfinished.stopped(context, manager.unit(UNIT))
    stopping.stop(context, disable=False)
    assert not context.paths.transaction.exists()


def test_a_start_makes_the_record_obsolete(context: Context, data: Path) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    record = Record(Phase.STAGING, None, (), running=True, kind=Kind.BACKUP, stopped=since)
    records.save(context.paths.transaction, record)
    with context.manager() as manager:
        assert unfinished.find(context, manager.unit(UNIT))
        manager.start(UNIT)
        assert unfinished.find(context, manager.unit(UNIT)) is None
        manager.stop(UNIT)
        assert unfinished.find(context, manager.unit(UNIT)) is None
    restart.restart(context, None)
    assert not context.paths.transaction.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("junk", "not valid JSON"),
        ('{"kind": "rm"}', "kind: is unknown"),
        ('{"stopped": "2026-11-27T12:00:00"}', "stopped: has no time zone"),
        ('{"stopped": "now"}', "stopped: is no time"),
    ],
)
def test_a_damaged_record(text: str, why: str, context: Context) -> None:
    file = context.paths.transaction
    records.save(file, Record(Phase.STAGING, None, (), running=True, kind=Kind.BACKUP))
    if text.startswith("{"):
        text = json.dumps(json.loads(file.read_text()) | json.loads(text))
    file.write_text(text)

    with context.manager() as manager, pytest.raises(RootlessError, match=why):
        unfinished.find(context, manager.unit(UNIT))
