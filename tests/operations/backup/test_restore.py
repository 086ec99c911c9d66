"""Tests of restores: with success, without a ready K3s, and killed at many points."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Backup, Datastore, Kind, Phase, Record
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.operations import restart
from k3s_rootless.operations.backup import create, kept, restore, surroundings
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.backup.surroundings import Surroundings
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT
from tests.backup.cluster import write
from tests.fakes.session import Session
from tests.killing import killed_at_many_points
from tests.operations import unit
from tests.operations.backup import k3s
from tests.operations.backup.k3s import FakeCluster


@pytest.fixture
def data(bus: Session, home: Path, context: Context) -> Path:
    """Return the data directory of a running K3s."""
    unit.write_k3s(home)
    found = unit.write(bus, home)
    k3s.make(found)
    return found


@pytest.fixture
def backup(context: Context, data: Path) -> Backup:
    """Return a backup of the first state; the cluster is in the second one."""
    created = create.create(context, create.Request())
    k3s.make(data, "second")
    write(data / "server/manifests/later.yaml", "later", 0o600)
    return kept.verified(context, created.path)


@pytest.fixture
def here(context: Context, backup: Backup) -> Surroundings:
    """Return the surroundings of the running K3s."""
    del backup
    with context.manager() as manager:
        manager.start(UNIT)
        return surroundings.read(context, manager)


def record_of(context: Context) -> Record | None:
    """Return the record of an unfinished restore."""
    return records.load(context.paths.transaction)


def hidden(data: Path) -> list[str]:
    """Return what a restore has left beside files of K3s."""
    return [str(path) for path in data.rglob(".*k3s-rootless-*")]


def test_a_restore_brings_back_the_cluster(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    cluster = FakeCluster(context, data)

    done = restore.place(context, backup, here, cluster)

    assert cluster.calls == ["stop", "hold", "release", "start", "wait"]
    assert k3s.rows(data) == {"first"}
    assert (data / "server/token").read_text() == "first"
    assert not (data / "server/manifests/later.yaml").exists()
    assert record_of(context) is None
    assert [] == hidden(data)
    document = restore.document(done)
    assert (document["restored"], document["file"]) == (True, str(backup.path))


def test_the_earlier_state_is_put_back_if_k3s_does_not_get_ready(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    cluster = FakeCluster(context, data, ready=False)

    with pytest.raises(RootlessError, match="the earlier state was put back"):
        restore.place(context, backup, here, cluster)

    assert k3s.rows(data) == {"second"}
    assert (data / "server/manifests/later.yaml").read_text() == "later"
    assert cluster.running
    assert record_of(context) is None
    assert [] == hidden(data)


def test_a_k3s_that_cannot_be_stopped_is_left_alone(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    class Stuck(FakeCluster):
        def stop(self) -> None:
            raise RootlessError("it does not stop")

    before = k3s.content(data)
    with pytest.raises(RootlessError, match="it does not stop"):
        restore.place(context, backup, here, Stuck(context, data))

    assert before == k3s.content(data)
    assert record_of(context) is None


def test_an_interrupt_while_k3s_starts_leaves_a_restore_to_finish(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    class Interrupted(FakeCluster):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore.place(context, backup, here, Interrupted(context, data))

    record = record_of(context)
    assert record
    assert record.phase is Phase.PLACED
    with pytest.raises(RootlessError, match="is not finished"):
        restart.restart(context, None)
    with pytest.raises(RootlessError, match="is not finished"):
        create.create(context, create.Request())
    with pytest.raises(RootlessError, match="is not finished"):
        restore.restore(context, restore.Request(backup.path, 5, yes=True), lambda _: True)

    restore.abort_with(context, record, FakeCluster(context, data, running=False))
    assert k3s.rows(data) == {"second"}


def test_a_restore_killed_anywhere_is_finished_or_undone(
    context: Context, backup: Backup, here: Surroundings, data: Path, home: Path
) -> None:
    saved = home / "saved"
    shutil.copytree(data, saved)
    before = k3s.content(data)
    points = 0
    seen = set()
    for point in killed_at_many_points(
        lambda: restore.place(context, backup, here, FakeCluster(context, data))
    ):
        points = point
        record = record_of(context)
        seen.add(record.phase if record else None)
        recover(context, record, FakeCluster(context, data, running=False), undo=point // 4 % 2)
        if k3s.rows(data) == {"second"}:
            assert own(before) == own(k3s.content(data))
        else:
            assert k3s.rows(data) == {"first"}
            assert not (data / "server/manifests/later.yaml").exists()
        assert [] == hidden(data)
        assert record_of(context) is None
        shutil.rmtree(data)
        shutil.copytree(saved, data)
        # An empty file may be one that another process has just created, so that it is kept for a
        # minute. Each would add an event to the next run.
        for left in context.paths.own.glob(".transaction.json.*.new"):
            left.unlink()
    assert points > 50
    assert {Phase.STAGING, Phase.REPLACING, Phase.PLACED} <= seen


def own(content: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that a K3s does not write at its start."""
    return {
        path: text
        for path, text in content.items()
        if "coredns" not in path and "state.db" not in path
    }


def recover(context: Context, record: Record | None, cluster: FakeCluster, *, undo: int) -> None:
    """Do what the next command does."""
    if record is None:
        return
    if record.phase is Phase.STAGING or (undo and record.phase is not Phase.READY):
        restore.abort_with(context, record, cluster)
    else:
        restore.resume_with(context, record, cluster)


def test_nothing_to_continue(context: Context, data: Path) -> None:
    for work in (restore.resume, restore.abort):
        with pytest.raises(UsageError, match="no restore is unfinished"):
            work(context, 5)


def test_a_restore_that_changed_nothing_is_not_continued(context: Context, data: Path) -> None:
    record = Record(Phase.STAGING, Path("/a"), ())

    with pytest.raises(RootlessError, match="before it replaced anything"):
        restore.resume_with(context, record, FakeCluster(context, data))


def interrupted_backup(context: Context) -> Record:
    """Leave K3s stopped by a backup with --stop that was killed."""
    with context.manager() as manager:
        manager.stop(UNIT)
    now = datetime.now(UTC)
    record = Record(Phase.STAGING, None, (), running=True, kind=Kind.BACKUP, stopped=now)
    records.save(context.paths.transaction, record)
    return record


def test_a_k3s_that_a_backup_has_stopped_is_started_after_the_restore(
    context: Context, backup: Backup, data: Path
) -> None:
    interrupted_backup(context)
    with context.manager() as manager:
        here = surroundings.read(context, manager)
    cluster = FakeCluster(context, data, running=False)

    restore.place(context, backup, here, cluster)

    assert cluster.running
    assert k3s.rows(data) == {"first"}
    assert record_of(context) is None


def test_a_restore_that_cannot_begin_leaves_the_record_of_a_backup(
    context: Context, backup: Backup, data: Path
) -> None:
    record = interrupted_backup(context)
    with context.manager() as manager:
        here = surroundings.read(context, manager)
    backup.path.write_bytes(backup.path.read_bytes()[:-100])

    with pytest.raises(RootlessError):
        restore.place(context, backup, here, FakeCluster(context, data, running=False))

    assert record_of(context) == record
    assert k3s.rows(data) == {"second"}
    assert [] == hidden(data)


def test_a_reset_must_be_finished_before_a_restore(
    context: Context, backup: Backup, data: Path
) -> None:
    records.save(
        context.paths.transaction, Record(Phase.STAGING, None, (), kind=Kind.RESET, data=data)
    )

    with pytest.raises(RootlessError, match=r"the reset of .* is not finished") as error:
        restore.restore(context, restore.Request(backup.path, 5, yes=True), lambda _: None)

    assert error.value.hint == "finish it with: k3s-rootless reset"
    assert k3s.rows(data) == {"second"}


@pytest.mark.parametrize("running", [True, False])
def test_a_k3s_that_was_stopped_for_nothing_is_started_again(
    context: Context, data: Path, *, running: bool
) -> None:
    record = Record(Phase.STAGING, Path("/a"), (), running=True)
    cluster = FakeCluster(context, data, running=running)

    restore.abort_with(context, record, cluster)

    assert cluster.running
    assert ("start" in cluster.calls) is not running


def test_a_data_directory_that_was_removed_is_restored(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    shutil.rmtree(data)

    restore.place(context, backup, here, FakeCluster(context, data))

    assert k3s.rows(data) == {"first"}
    assert (data / "agent/etc/rancher/node/password").read_text() == "first"


def test_both_reasons_are_reported_if_nothing_gets_ready(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    class Broken(FakeCluster):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            raise RootlessError(f"no {next(iter(k3s.rows(self.data)))}")

    with pytest.raises(RootlessError, match="no first; and with the earlier state: no second"):
        restore.place(context, backup, here, Broken(context, data))

    assert k3s.rows(data) == {"second"}
    assert record_of(context) is None


def test_a_failed_undo_can_be_repeated(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    class Unstoppable(FakeCluster):
        def stop(self) -> None:
            if "wait" in self.calls:
                raise RootlessError("it does not stop")
            super().stop()

    cluster = Unstoppable(context, data, ready=False)
    with pytest.raises(RootlessError, match="it does not stop") as error:
        restore.place(context, backup, here, cluster)
    assert "--abort" in (error.value.hint or "")

    record = record_of(context)
    assert record
    restore.abort_with(context, record, FakeCluster(context, data))
    assert k3s.rows(data) == {"second"}


def test_a_cluster_with_an_external_datastore_is_refused(
    context: Context, backup: Backup, here: Surroundings, tmp_path: Path
) -> None:
    external = replace(here, datastore=Datastore.EXTERNAL)
    with pytest.raises(RootlessError, match="the datastore of this cluster is external"):
        restore.check(context, backup.path, external, tmp_path)


def test_a_backup_of_another_architecture_is_refused(
    context: Context, backup: Backup, here: Surroundings, data: Path, tmp_path: Path
) -> None:
    before = k3s.content(data)
    other = replace(here, origin=replace(here.origin, architecture="riscv64"))

    with pytest.raises(RootlessError, match=r"this host has riscv64"):
        restore.check(context, backup.path, other, tmp_path)

    assert before == k3s.content(data)


def test_a_restore_needs_consent(context: Context, backup: Backup, data: Path) -> None:
    before = k3s.content(data)
    request = restore.Request(backup.path, 5)

    with pytest.raises(UsageError, match="this is no terminal"):
        restore.restore(context, request, lambda _: None)
    with pytest.raises(RootlessError, match="nothing was restored"):
        restore.restore(context, request, lambda _: False)

    assert before == k3s.content(data)


def test_a_damaged_backup_is_refused_before_a_question(
    context: Context, backup: Backup, data: Path
) -> None:
    backup.path.write_bytes(backup.path.read_bytes()[:-20])

    def ask(_: str) -> bool:
        raise AssertionError("a question")

    with pytest.raises(RootlessError, match="truncated"):
        restore.restore(context, restore.Request(backup.path, 5), ask)


def test_a_restore_without_a_unit(context: Context, bus: Session, home: Path) -> None:
    with pytest.raises(NotRunning):
        restore.restore(context, restore.Request(home / "a", 5, yes=True), lambda _: True)


def test_a_start_is_prevented_by_a_condition_until_the_files_are_whole(
    context: Context, here: Surroundings, bus: Session, events: list[Event]
) -> None:
    guard = bus.units / f"{UNIT}.d/00-k3s-rootless-transaction.conf"
    with context.manager() as manager:
        cluster = SystemdCluster(context, manager, 5)
        cluster.stop()
        cluster.hold()

        assert f"ConditionPathExists=!{context.paths.transaction}\n" in guard.read_text()
        assert unit.steps(events)[-1] == "reload the user manager"

        cluster.release()
        assert not guard.exists()
        cluster.start()
        assert manager.unit(UNIT).running
