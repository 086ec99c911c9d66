"""Tests of resets: with a running and a stopped K3s, refused, failed, killed at many points."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Datastore, Kind, Phase, Record
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.linux.tree_removal import Result, Task, remove
from k3s_rootless.operations import reset, restart
from k3s_rootless.operations.backup import create, kept, running_cluster, unfinished
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.reset_plan import Plan, Request
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import emptying
from tests.backup.cluster import opened, write
from tests.fakes.session import Session
from tests.killing import killed_at_many_points
from tests.operations import unit
from tests.operations.backup import k3s
from tests.real_etcd import EtcdData, copy_member

REQUEST = Request(5, yes=True)
WITHOUT_BACKUP = Request(5, backup=False, yes=True)
TRASH = ".k3s-rootless-reset"
NOW = datetime.now(UTC)


class Cluster(k3s.FakeCluster):
    """A K3s that creates a datastore at its start, as the real one does."""

    def volume_access(self) -> InNamespace:
        """Return that there is no way: all files in these tests belong to the user."""
        return InNamespace("this is a test", lambda: None)

    def start(self) -> None:
        """Start."""
        assert not self.held
        self.calls.append("start")
        self.running = True
        if not (self.data / "server/db").exists():
            (self.data / "server/db").mkdir(parents=True)
            with closing(opened(self.data / "server/db/state.db")) as found:
                found.execute("INSERT INTO kine (name) VALUES ('empty')")
                found.commit()


@pytest.fixture
def data(bus: Session, home: Path, context: Context) -> Path:
    """Return the data directory of an installed K3s with a volume and a pod."""
    unit.write_k3s(home)
    found = unit.write(bus, home)
    k3s.make(found)
    write(found / "storage/pvc-1/file", "volume", 0o600)
    write(found / "kubelet/pods/1/file", "pod", 0o600)
    write(found / "agent/images/mine.tar", "image", 0o600)
    write(found / "etc/rancher/k3s/registries.yaml", "mine", 0o600)
    return found


def begun(data: Path, *, running: bool) -> Record:
    """Return the record of a reset that has moved nothing."""
    return Record(Phase.STAGING, None, (), running, Kind.RESET, stopped=NOW, data=data)


def plan(data: Path, *, running: bool = True) -> Plan:
    """Return the plan of a reset without a backup."""
    content = emptying.Content(("server/db", "storage", "kubelet"))
    return Plan(data, content, backup=False, running=running)


def test_a_running_k3s_gets_an_empty_cluster(context: Context, data: Path) -> None:
    cluster = Cluster(context, data)

    done = reset.perform(context, plan(data), None, cluster)

    assert cluster.calls == ["stop", "hold", "release", "start", "wait"]
    assert k3s.rows(data) == {"empty"}
    assert not (data / "storage").exists()
    assert not (data / "kubelet").exists()
    assert not (data / TRASH).exists()
    assert (data / "agent/images/mine.tar").read_text() == "image"
    assert (data / "etc/rancher/k3s/registries.yaml").read_text() == "mine"
    assert not context.paths.transaction.exists()
    assert not done.problem
    assert done.removal
    assert done.removal.removed > 8


def test_a_k3s_that_was_just_started_with_an_empty_cluster_is_waited_for(
    context: Context, data: Path
) -> None:
    cluster = Cluster(context, data)
    empty = replace(plan(data), content=emptying.Content(()))

    running = reset.perform(context, empty, None, cluster)
    stopped = reset.perform(context, replace(empty, running=False), None, cluster)

    assert ["wait"] == cluster.calls
    cluster.running = False
    reset.perform(context, empty, None, cluster)
    assert ["wait", "start", "wait"] == cluster.calls
    assert [None, None] == [running.removal, stopped.removal]
    assert "storage" in {path.name for path in data.iterdir()}


def test_a_host_on_which_only_k3s_has_a_namespace_with_privileges(
    context: Context, data: Path
) -> None:
    """Then the old files are removed once K3s is ready."""
    order = []

    class Restricted(InNamespace):
        @property
        def needs_k3s(self) -> bool:
            return True

        def clear(self, task: Task) -> Result:
            order.append("remove")
            result = Result()
            remove(task, result)
            return result

    class Restrictive(Cluster):
        def volume_access(self) -> InNamespace:
            return Restricted("", lambda: None)

        def wait(self, release: str = "") -> None:
            super().wait(release)
            order.append("wait")

    done = reset.perform(context, plan(data), None, Restrictive(context, data))

    assert order == ["wait", "remove"]
    assert not done.problem
    assert not (data / TRASH).exists()


def test_a_stopped_k3s_stays_stopped_and_a_backup_is_created(context: Context, data: Path) -> None:
    shutil.rmtree(data / "storage")

    done = reset.reset(context, REQUEST, lambda _: None)

    assert done.backup
    assert kept.verified(context, done.backup).manifest.revision == 10
    assert not (data / "server/db").exists()
    assert (data / "server/token").read_text() == "first"
    document = reset.document(done.plan, done)
    assert (document["changed"], document["starts"]) == (True, False)
    assert document["removes"] == [str(data / name) for name in done.plan.content.moved]
    assert document["backup"] == str(done.backup)
    assert (document["backs_up"], document["backs_up_volumes"]) == (True, False)

    again = reset.reset(context, REQUEST, lambda _: None)

    assert not again.plan.changes
    assert reset.document(again.plan, again)["changed"] is False


def test_volumes_that_cannot_be_copied_are_not_removed(context: Context, data: Path) -> None:
    before = k3s.content(data)

    with pytest.raises(RootlessError, match=r"a backup of it fails: .*newuidmap") as error:
        reset.reset(context, REQUEST, lambda _: None)

    assert "k3s-rootless reset --no-backup" in (error.value.hint or "")
    assert before == k3s.content(data)


def test_a_plan_changes_nothing(context: Context, data: Path) -> None:
    before = k3s.content(data)

    found = reset.plan(context, REQUEST)

    assert found.content.moved == ("server/db", "storage", "kubelet")
    assert found.backup
    assert found.volumes
    assert not found.running
    assert before == k3s.content(data)
    assert not context.paths.own.exists()
    assert reset.document(found, None)["changed"] is False


def test_a_reset_needs_consent(context: Context, data: Path) -> None:
    before = k3s.content(data)
    questions = []

    def ask(question: str) -> bool:
        questions.append(question)
        return False

    with pytest.raises(UsageError, match="there is no terminal"):
        reset.reset(context, Request(5), lambda _: None)
    with pytest.raises(RootlessError, match="nothing was reset"):
        reset.reset(context, Request(5), ask)

    assert "all its volumes (a backup that contains them is created first)" in questions[0]
    assert before == k3s.content(data)


@pytest.mark.parametrize("name", ["server", "server/db", "kubelet"])
def test_a_link_is_not_followed(name: str, context: Context, data: Path, home: Path) -> None:
    (data / name).rename(home / "elsewhere")
    (data / name).symlink_to(home / "elsewhere")
    before = k3s.content(home / "elsewhere")

    with pytest.raises(UsageError, match=r"is a link|cannot reset"):
        reset.reset(context, WITHOUT_BACKUP, lambda _: None)

    assert before == k3s.content(home / "elsewhere")
    assert (data / name).is_symlink()


def test_volumes_in_another_place_are_kept(context: Context, data: Path, home: Path) -> None:
    (data / "storage").rename(home / "elsewhere")
    (data / "storage").symlink_to(home / "elsewhere")

    done = reset.reset(context, WITHOUT_BACKUP, lambda _: None)

    assert done.plan.content.kept == (("storage", "it is a link, or no directory"),)
    assert (data / "storage/pvc-1/file").read_text() == "volume"
    assert not (data / "server/db").exists()


def test_a_directory_of_other_data_is_refused(context: Context, bus: Session, home: Path) -> None:
    data = unit.write(bus, home)
    write(data / "storage/mine", "mine", 0o600)

    with pytest.raises(UsageError, match="contains no file that identifies"):
        reset.reset(context, REQUEST, lambda _: None)

    assert (data / "storage/mine").exists()


def test_without_a_unit(context: Context, bus: Session) -> None:
    with pytest.raises(NotRunning):
        reset.reset(context, REQUEST, lambda _: None)


def test_an_external_datastore(context: Context, home: Path, bus: Session) -> None:
    data = unit.write(bus, home, "--datastore-endpoint=mysql://u:secret@x")
    write(data / "server/db/etcd/name", "etcd", 0o600)

    with pytest.raises(RootlessError, match="its datastore is external"):
        reset.reset(context, REQUEST, lambda _: None)

    assert (data / "server/db").exists()


def test_embedded_etcd_is_backed_up(
    context: Context, home: Path, bus: Session, etcd_data: EtcdData
) -> None:
    data = unit.write(bus, home)
    copy_member(etcd_data, data / "server/db/etcd")

    done = reset.reset(context, REQUEST, lambda _: None)

    assert done.backup
    assert Datastore.ETCD is kept.verified(context, done.backup).manifest.datastore
    assert not (data / "server/db").exists()


def test_an_etcd_that_never_ran_cannot_be_backed_up(
    context: Context, home: Path, bus: Session
) -> None:
    data = unit.write(bus, home)
    write(data / "server/db/etcd/name", "etcd", 0o600)

    with pytest.raises(RootlessError, match="contains no datastore") as error:
        reset.reset(context, REQUEST, lambda _: None)
    assert "--no-backup" in (error.value.hint or "")

    reset.reset(context, WITHOUT_BACKUP, lambda _: None)
    assert not (data / "server/db").exists()


def test_a_move_that_fails_is_undone(
    context: Context, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = k3s.content(data)
    cluster = Cluster(context, data)
    # A file of this name is in the way of the third move.
    write(data / TRASH, "", 0o600)

    with pytest.raises(RootlessError, match="cannot reset"):
        reset.perform(context, plan(data), None, cluster)

    (data / TRASH).unlink()
    kubelet = {path: text for path, text in before.items() if path.startswith("kubelet")}
    assert kubelet.items() <= k3s.content(data).items()
    assert cluster.running
    assert not context.paths.transaction.exists()


def test_a_cluster_that_cannot_be_backed_up(context: Context, data: Path) -> None:
    (data / "server/db/state.db").write_bytes(b"no database" * 1000)

    with pytest.raises(RootlessError, match="a backup of it fails") as error:
        reset.reset(context, REQUEST, lambda _: None)

    assert "k3s-rootless reset --no-backup" in (error.value.hint or "")
    assert (data / "server/db/state.db").exists()
    reset.reset(context, WITHOUT_BACKUP, lambda _: None)
    assert not (data / "server/db").exists()


def test_a_k3s_that_fails_again_and_again_is_started_afterwards(
    context: Context, data: Path, bus: Session
) -> None:
    bus.order(properties={"ActiveState": ("s", "activating"), "SubState": ("s", "auto-restart")})

    assert reset.plan(context, REQUEST).running


def test_a_k3s_that_cannot_be_stopped_is_left_alone(context: Context, data: Path) -> None:
    class Stuck(Cluster):
        def stop(self) -> None:
            raise RootlessError("it does not stop")

    before = k3s.content(data)
    with pytest.raises(RootlessError, match="it does not stop"):
        reset.perform(context, plan(data), None, Stuck(context, data))

    assert before == k3s.content(data)
    assert not context.paths.transaction.exists()


def test_a_reset_killed_anywhere_is_finished_by_the_next_one(
    context: Context, data: Path, home: Path
) -> None:
    saved = home / "saved"
    shutil.copytree(data, saved)
    seen = set()
    for _ in killed_at_many_points(
        lambda: reset.perform(context, plan(data), None, Cluster(context, data)), step=1
    ):
        record = records.load(context.paths.transaction)
        seen.add(None if record is None else (is_placed(record), emptying.has_moved(data)))
        if record is not None:
            recover(context, data, record)
        assert not (data / TRASH).exists()
        assert not context.paths.transaction.exists()
        if (data / "storage").exists():
            assert k3s.rows(data) == {"first"}
            assert (data / "kubelet").exists()
        else:
            assert k3s.rows(data) <= {"empty"}
            assert not (data / "kubelet").exists()
        shutil.rmtree(context.paths.own, ignore_errors=True)
        shutil.rmtree(data)
        shutil.copytree(saved, data)
    assert {None, (False, False), (False, True), (True, True), (True, False)} == seen


def is_placed(record: Record) -> bool:
    """Return whether all files are recorded as moved."""
    return record.phase is Phase.PLACED


def recover(context: Context, data: Path, record: Record) -> None:
    """Do what the next reset does: the fake user manager reports a K3s that does not run."""
    moved = is_placed(record) or emptying.has_moved(data)
    with pytest.raises(RootlessError, match="the reset of"):
        unfinished.require_none(context)
    if not moved:
        reset.withdraw(context, Cluster(context, data, running=False))
        return
    found = reset.plan(context, REQUEST)
    assert found.unfinished
    assert found.running
    reset.perform(context, found, None, Cluster(context, data, running=False))


def test_other_commands_refuse_to_start_k3s_meanwhile(
    context: Context, data: Path, events: list[Event]
) -> None:
    records.save(context.paths.transaction, begun(data, running=False))
    write(data / TRASH / "storage/file", "", 0o600)
    for work in (
        lambda: restart.restart(context, None),
        lambda: create.create(context, create.Request()),
    ):
        with pytest.raises(RootlessError, match="the reset of") as error:
            work()
        assert error.value.hint == "finish it with: k3s-rootless reset"

    done = reset.reset(context, Request(5), lambda _: None)

    assert done.plan.unfinished
    assert done.backup is None
    assert not (data / "server/db").exists()
    assert not (data / TRASH).exists()
    with context.manager() as manager:
        assert not manager.unit(UNIT).running


def test_an_open_restore_is_finished_before_a_reset(context: Context, data: Path) -> None:
    records.save(context.paths.transaction, Record(Phase.PLACED, Path("/a"), ()))

    for work in (
        lambda: reset.reset(context, REQUEST, lambda _: None),
        lambda: reset.plan(context, REQUEST),
    ):
        with pytest.raises(RootlessError, match="the restore of `/a` is not finished"):
            work()

    assert k3s.rows(data) == {"first"}


def test_a_reset_that_moved_nothing_is_withdrawn(
    context: Context, data: Path, events: list[Event]
) -> None:
    records.save(context.paths.transaction, begun(data, running=True))
    before = k3s.content(data)

    with pytest.raises(RootlessError, match="nothing was reset"):
        reset.reset(context, Request(5), lambda _: False)

    assert before == k3s.content(data)
    assert "a reset was interrupted before it changed anything" in unit.notices(events)
    with context.manager() as manager:
        assert manager.unit(UNIT).running
    unfinished.require_none(context)


def test_a_start_is_prevented_by_a_condition(context: Context, data: Path, bus: Session) -> None:
    guard = bus.units / f"{UNIT}.d/00-k3s-rootless-transaction.conf"
    with context.manager() as manager:
        cluster = running_cluster.SystemdCluster(context, manager, 5)
        cluster.hold()
        assert f"ConditionPathExists=!{context.paths.transaction}\n" in guard.read_text()
        cluster.release()
    assert not guard.exists()


def test_a_leftover_of_an_earlier_reset_is_removed(context: Context, data: Path) -> None:
    write(data / TRASH / "storage/old", "old", 0o600)

    reset.reset(context, WITHOUT_BACKUP, lambda _: None)

    assert not (data / TRASH).exists()
    assert not (data / "storage").exists()


def test_a_reset_after_an_interrupted_backup_starts_k3s(context: Context, data: Path) -> None:
    since = NOW - timedelta(minutes=1)
    record = Record(Phase.STAGING, None, (), running=True, kind=Kind.BACKUP, stopped=since)
    records.save(context.paths.transaction, record)

    assert reset.plan(context, REQUEST).running
