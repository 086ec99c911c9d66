"""Tests of backups and restores of a cluster with embedded etcd, with files of a real etcd."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup import etcd
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import UNKNOWN, Backup, Datastore, Expected, Phase, Record, Root
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import (
    adapting,
    cluster_reset,
    create,
    kept,
    restore,
    surroundings,
    transaction,
)
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
from tests.real_etcd import EtcdData, copy_member

STOPPED = create.Request()
PROGRAM = """#!/bin/sh
if [ "$1" = --version ]; then echo 'k3s version {version} (50fa2d70)'; exit; fi
printf '%s\\n' "$@" > {home}/arguments
/usr/bin/env > {home}/environment
PATH=/usr/bin:/bin
for word in "$@"; do
    case $word in
        --dir=*) directory=${{word#--dir=}} ;;
        --cluster-reset-restore-path=*) restored=${{word#--cluster-reset-restore-path=}} ;;
    esac
done
{body}
"""
SAVES = """
cp {snapshot} "$directory/k3s-rootless-node-1795820911" || exit
echo 'time="2026-11-27T23:08:30Z" level=info msg="Snapshot k3s-rootless-node-1795820911 saved."' >&2
"""


@pytest.fixture
def data(bus: Session, home: Path, context: Context, etcd_data: EtcdData) -> Path:
    """Return the data directory of an installed K3s with etcd."""
    found = unit.write(bus, home)
    text = (bus.units / UNIT).read_text()
    (bus.units / UNIT).write_text(text.replace("/usr/local/bin/k3s", f"{home}/bin/k3s"))
    play(home)
    make(found, etcd_data)
    return found


def play(home: Path, body: str = "", version: str = "v1.36.3+k3s1") -> None:
    """Write a k3s that runs `body`."""
    program = unit.write_k3s(home)
    program.write_text(PROGRAM.format(version=version, home=home / "config", body=body))


def make(data: Path, files: EtcdData, text: str = "first") -> None:
    """Write files of a cluster with etcd; `text` is in each of the other files."""
    k3s.make(data, text)
    for path in (data / "server/db").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy_member(files, data / "server/db/etcd")


def save(home: Path, files: EtcdData) -> None:
    """Let K3s save the snapshot of a real etcd."""
    readable = home / "snapshot"
    shutil.copyfile(files.snapshot, readable)
    play(home, SAVES.format(snapshot=readable))


@pytest.fixture
def here(context: Context, data: Path) -> Surroundings:
    """Return the surroundings of the running K3s."""
    del data
    with context.manager() as manager:
        manager.start(UNIT)
        return surroundings.read(context, manager)


@pytest.fixture
def backup(context: Context, here: Surroundings, home: Path, etcd_data: EtcdData) -> Backup:
    """Return a backup with a snapshot of the first state; the cluster is in the second one."""
    save(home, etcd_data)
    created = create.create(context, create.Request())
    make(here.data, etcd_data, "second")
    write(here.data / "server/db/etcd/second", "", 0o600)
    return kept.verified(context, created.path)


def leftovers(data: Path) -> list[str]:
    """Return what is beside the files of K3s."""
    hidden = [str(path) for path in data.rglob(".*k3s-rootless-*")]
    known = {"etcd", "reset-flag"}
    return hidden + [str(path) for path in (data / "server/db").iterdir() if path.name not in known]


def test_a_backup_of_a_stopped_etcd_has_its_files(
    context: Context, data: Path, etcd_data: EtcdData
) -> None:
    created = create.create(context, STOPPED)

    manifest = kept.verified(context, created.path).manifest
    names = {one.name for one in manifest.entries}
    assert (Datastore.ETCD, False) == (manifest.datastore, manifest.live)
    assert {"data/server/db/etcd/name", "data/server/db/etcd/member/snap/db"} <= names
    assert manifest.revision == etcd_data.revision
    assert "embedded etcd" == create.document(created)["backup"]["datastore"]


def test_a_backup_of_a_running_etcd_has_a_snapshot_of_k3s(
    context: Context, here: Surroundings, home: Path, etcd_data: EtcdData
) -> None:
    save(home, etcd_data)

    created = create.create(context, create.Request())

    manifest = kept.verified(context, created.path).manifest
    names = [one.name for one in manifest.entries if one.name.startswith("data/server/db/")]
    assert names == ["data/server/db/etcd.snapshot"]
    assert (manifest.live, manifest.revision) == (True, etcd_data.revision)
    assert [] == leftovers(here.data)
    arguments = (home / "config/arguments").read_text().splitlines()
    assert arguments[:3] == ["etcd-snapshot", "save", "--etcd-server=https://127.0.0.1:6443"]
    assert {f"--data-dir={here.data}", "--snapshot-compress=false"} <= set(arguments)
    environment = (home / "config/environment").read_text().splitlines()
    assert {f"K3S_DATA_DIR={here.data}", "K3S_CONFIG_FILE=/dev/null"} <= set(environment)
    assert not any("first" in line for line in (*arguments, *environment))


def test_a_backup_with_a_stop_copies_the_files(
    context: Context, here: Surroundings, etcd_data: EtcdData
) -> None:
    created = create.write(
        context, create.Request(stop=True), here, FakeCluster(context, here.data)
    )

    assert not created.manifest.live
    assert created.manifest.revision == etcd_data.revision


FAILED = """
echo 'time="2026-11-27T23:08:30Z" level=fatal msg="Error: snapshot save already in progress"' >&2
exit 1
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (FAILED, "level=fatal .*snapshot save already in progress"),
        ("exit 1", "K3s printed no reason"),
        ("exit 0", "K3s wrote 0 files instead of one"),
        ('touch "$directory/a" "$directory/b"', "K3s wrote 2 files instead of one"),
        ('echo junk > "$directory/a"', "its checksum is missing"),
    ],
)
def test_a_snapshot_that_fails_leaves_nothing(
    body: str, why: str, context: Context, here: Surroundings, home: Path
) -> None:
    play(home, body)

    with pytest.raises(RootlessError, match=why):
        create.create(context, create.Request())

    assert [] == leftovers(here.data)
    assert [] == list(context.paths.backups.iterdir())


def test_an_early_release_saves_no_snapshot_from_outside(
    context: Context, here: Surroundings, bus: Session, home: Path
) -> None:
    text = (bus.units / UNIT).read_text()
    (bus.units / UNIT).write_text(f"# k3s-rootless: K3s v1.25.16+k3s4\n{text}")

    with pytest.raises(RootlessError) as error:
        create.create(context, create.Request())

    assert "backup create --stop" in (error.value.hint or "")


def test_a_damaged_member_leaves_no_backup(context: Context, data: Path) -> None:
    database = data / "server/db/etcd/member/snap/db"
    content = bytearray(database.read_bytes())
    content[:8192] = bytes(8192)
    database.write_bytes(content)

    with pytest.raises(RootlessError, match="the datastore is damaged"):
        create.create(context, STOPPED)

    assert [] == list(context.paths.backups.iterdir())


def test_the_files_of_a_stopped_etcd_are_restored_as_they_were(
    context: Context, here: Surroundings, data: Path, etcd_data: EtcdData
) -> None:
    cluster = FakeCluster(context, data, running=False)
    created = create.write(context, create.Request(stop=True), here, cluster)
    before = k3s.content(data / "server/db/etcd")
    make(data, etcd_data, "second")
    write(data / "server/db/etcd/second", "", 0o600)
    backup = kept.verified(context, created.path)
    cluster = FakeCluster(context, data)

    restore.place(context, backup, here, cluster)

    assert cluster.calls == ["stop", "hold", "release", "start", "wait"]
    after = k3s.content(data / "server/db/etcd")
    assert before.keys() == after.keys()
    assert {"config"} >= {name for name, text in before.items() if after[name] != text}
    assert (data / "server/token").read_text() == "first"
    assert [] == leftovers(data)


def test_k3s_restores_a_snapshot_before_it_may_start(
    context: Context, backup: Backup, here: Surroundings, data: Path, etcd_data: EtcdData
) -> None:
    cluster = FakeCluster(context, data)

    restore.place(context, backup, here, cluster)

    assert cluster.calls == ["stop", "hold", "read snapshot", "release", "start", "wait"]
    database = data / "server/db/etcd/member/snap/db"
    assert etcd.check_database(database) == etcd_data.revision
    assert not (data / "server/db/etcd/second").exists()
    assert (data / "server/token").read_text() == "first"
    assert [] == leftovers(data)
    assert records.load(context.paths.transaction) is None


class Refusing(FakeCluster):
    """A K3s that cannot read the snapshot."""

    def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
        """Write a part of etcd, and fail."""
        super().read_snapshot(snapshot, expected)
        raise RootlessError("K3s cannot restore the snapshot of etcd: bad token")


@pytest.mark.parametrize("kind", [Refusing, FakeCluster])
def test_the_earlier_etcd_is_put_back(
    kind: type[FakeCluster], context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    before = k3s.content(data)
    cluster = kind(context, data, ready=False)

    with pytest.raises(RootlessError, match="the earlier state was put back"):
        restore.place(context, backup, here, cluster)

    after = k3s.content(data)
    assert before == {name: text for name, text in after.items() if name in before}
    assert (data / "server/db/etcd/second").exists()
    assert not (data / "server/db/reset-flag").exists()
    assert [] == leftovers(data)
    assert cluster.running


def test_a_restore_killed_anywhere_is_finished_or_undone(
    context: Context, backup: Backup, here: Surroundings, data: Path, home: Path
) -> None:
    saved = home / "saved"
    shutil.copytree(data, saved)
    outcomes = set()
    for point in killed_at_many_points(
        lambda: restore.place(context, backup, here, FakeCluster(context, data)), step=9
    ):
        recover(context, FakeCluster(context, data, running=False), undo=point // 9 % 2 == 1)
        second = (data / "server/db/etcd/second").exists()
        outcomes.add(second)
        assert (data / "server/token").read_text() == {True: "second", False: "first"}[second]
        assert etcd.check_database(data / "server/db/etcd/member/snap/db")
        assert [] == leftovers(data)
        assert records.load(context.paths.transaction) is None
        shutil.rmtree(data)
        shutil.copytree(saved, data)
    assert {True, False} == outcomes


def recover(context: Context, cluster: FakeCluster, *, undo: bool) -> None:
    """Finish or undo a restore that was killed."""
    record = records.load(context.paths.transaction)
    if record is None:
        return
    if undo and record.phase is not Phase.READY:
        transaction.abort(context, record, cluster)
    else:
        transaction.resume(context, record, cluster)


def test_a_backup_of_sqlite_replaces_etcd(
    context: Context, here: Surroundings, data: Path, etcd_data: EtcdData
) -> None:
    shutil.rmtree(data / "server/db/etcd")
    k3s.make(data)
    with context.manager() as manager:
        manager.stop(UNIT)
    created = create.create(context, STOPPED)
    make(data, etcd_data, "second")

    restore.place(context, kept.verified(context, created.path), here, FakeCluster(context, data))

    assert k3s.rows(data) == {"first"}
    assert not (data / "server/db/etcd").exists()


def test_a_snapshot_replaces_sqlite(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    shutil.rmtree(data / "server/db/etcd")
    k3s.make(data, "second")

    restore.place(context, backup, here, FakeCluster(context, data))

    assert (data / "server/db/etcd/member").is_dir()
    assert not (data / "server/db/state.db").exists()


def test_persistent_volumes_need_data(
    context: Context, backup: Backup, here: Surroundings, tmp_path: Path
) -> None:
    checked = restore.check(context, backup.path, here, tmp_path)

    with pytest.raises(RootlessError, match=r"have no data.*\n  pv-1: /srv/data"):
        adapting.adapt(context, checked, here, tmp_path, volumes=True)

    found = adapting.adapt(context, checked, here, tmp_path, volumes=False)
    assert not found.contents
    assert "pv-1" in found.warnings[0]


def test_persistent_volumes_in_etcd_cannot_be_moved(
    context: Context, backup: Backup, here: Surroundings, tmp_path: Path
) -> None:
    checked = restore.check(context, backup.path, here, tmp_path)
    roots = {**checked.manifest.origin.roots, Root.VOLUMES: "/srv/data"}
    moved = replace(checked.manifest, origin=replace(checked.manifest.origin, roots=roots))

    with pytest.raises(RootlessError, match=r"only those in SQLite can be changed:\n  pv-1"):
        adapting.adapt(context, replace(checked, manifest=moved), here, tmp_path, volumes=False)


RESTORES = """
set -e
db={data}/server/db
mkdir -p $db/etcd/member/snap $db/etcd/member/wal
now=$(date +%s)
mkdir -p $db/etcd-old-$now {data}/server/tls-$((now + 1))
head -c -32 "$restored" > $db/etcd/member/snap/db
touch $db/etcd/member/wal/0000000000000000-0000000000000000.wal
"""
NAMED = "echo node-1 > $db/etcd/name"
DAMAGED = "head -c 20000 /dev/zero > $db/etcd/member/snap/db"


def reading(context: Context, data: Path, expected: Expected = UNKNOWN) -> None:
    """Let the K3s of the unit read a snapshot, as a transaction does."""
    snapshot = data / "server/db/.etcd.k3s-rootless-restored"
    with context.manager() as manager:
        SystemdCluster(context, manager, 60).read_snapshot(snapshot, expected)


@pytest.fixture
def staged(data: Path, etcd_data: EtcdData) -> Path:
    """Return the data directory with a snapshot, and an etcd that was written partly."""
    shutil.copyfile(etcd_data.snapshot, data / "server/db/.etcd.k3s-rootless-restored")
    write(data / "server/db/etcd/partly", "", 0o600)
    (data / "server/tls-1700000000").mkdir()
    return data


@pytest.mark.parametrize("exits", ["exit 0", "exit 1"])
def test_k3s_runs_once_with_the_settings_of_the_unit(
    exits: str,
    context: Context,
    staged: Path,
    home: Path,
    events: list[Event],
    etcd_data: EtcdData,
) -> None:
    """K3s v1.36.3 exits with an error now and then after it has finished."""
    play(home, "\n".join([RESTORES.format(data=staged), NAMED, exits]))

    reading(context, staged)

    snapshot = staged / "server/db/.etcd.k3s-rootless-restored"
    assert (home / "config/arguments").read_text().splitlines() == [
        "server",
        "--rootless",
        f"--data-dir={staged}",
        f"--write-kubeconfig={home / 'k3s.yaml'}",
        "--cluster-reset",
        f"--cluster-reset-restore-path={snapshot}",
    ]
    assert "PATH=/usr/local/bin:/usr/bin" in (home / "config/environment").read_text()
    database = staged / "server/db/etcd/member/snap/db"
    assert etcd.check_database(database) == etcd_data.revision
    assert not (staged / "server/db/etcd/partly").exists()
    assert {"tls", "tls-1700000000"} == {path.name for path in (staged / "server").glob("tls*")}
    assert [] == list((staged / "server/db").glob("etcd-old*"))
    assert "K3s restores the snapshot of etcd, and exits" in unit.notices(events)
    with context.manager() as manager:
        assert not manager.unit(cluster_reset.RESET_UNIT).failed


def test_systemd_expands_no_variable_in_the_path_of_the_snapshot(
    context: Context, staged: Path, home: Path, etcd_data: EtcdData
) -> None:
    snapshot = staged / "$PATH.db"
    shutil.copyfile(etcd_data.snapshot, snapshot)
    play(home, "\n".join([RESTORES.format(data=staged), NAMED]))

    with context.manager() as manager:
        SystemdCluster(context, manager, 60).read_snapshot(snapshot, UNKNOWN)

    database = staged / "server/db/etcd/member/snap/db"
    assert etcd.check_database(database) == etcd_data.revision


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 1", "its result is exit-code"),
        ("exit 0", "it did not write all of it"),
        (RESTORES, "it did not write all of it"),
        (f"{RESTORES}\n{NAMED}\n{DAMAGED}", "it did not write all of it"),
    ],
    ids=["failed", "nothing", "no name", "damaged"],
)
def test_a_run_that_fails_is_reported(
    body: str, why: str, context: Context, staged: Path, home: Path
) -> None:
    play(home, body.format(data=staged))

    with pytest.raises(RootlessError, match=f"cannot restore the snapshot of etcd: {why}") as error:
        reading(context, staged)
    with pytest.raises(RootlessError, match=why):
        reading(context, staged)  # the failed unit is not in the way

    assert cluster_reset.RESET_UNIT in (error.value.hint or "")


def test_other_settings_are_found_before_k3s_runs(
    context: Context, staged: Path, home: Path
) -> None:
    with pytest.raises(RootlessError, match="the restored settings make"):
        reading(context, staged, Expected(data=str(home / "other")))

    assert not (home / "config/arguments").exists()
    assert (staged / "server/db/etcd/partly").exists()


def test_a_run_that_was_left_is_stopped_with_k3s(context: Context, data: Path) -> None:
    del data
    with context.manager() as manager:
        settings = {"Type": ("s", "exec"), "ExecStart": ("a(sasb)", [["/bin/true", [], False]])}
        assert manager.start_transient(cluster_reset.RESET_UNIT, settings).running

        SystemdCluster(context, manager, 5).stop()

        assert "not-found" == manager.unit(cluster_reset.RESET_UNIT).load_state


def test_the_record_knows_that_the_new_content_is_a_snapshot(
    context: Context, backup: Backup, here: Surroundings, data: Path
) -> None:
    found: list[Record | None] = []

    class Looking(FakeCluster):
        def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
            found.append(records.load(self.context.paths.transaction))
            super().read_snapshot(snapshot, expected)

    restore.place(context, backup, here, Looking(context, data))

    (record,) = found
    assert record
    assert record.phase is Phase.REPLACING
    assert [one.path.name for one in record.paths if one.snapshot] == ["etcd"]
