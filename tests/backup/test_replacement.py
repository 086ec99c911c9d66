"""Tests of a restore's files: replaced, undone, and killed at each change of a file."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from k3s_rootless.backup import files, replacement, slots, verify
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Phase, Record, Slot
from k3s_rootless.errors import RootlessError
from tests.backup.cluster import Cluster, write
from tests.killing import killed_at_many_points


@pytest.fixture
def archive(cluster: Cluster) -> Path:
    """Return a backup of a cluster that has changed since."""
    os.utime(cluster.data / "server/tls/etcd/peer.key", (1_700_000_000, 1_700_000_000))
    file = cluster.place / "backup.tar.gz"
    cluster.back_up(file)
    shutil.rmtree(cluster.place / "staging")
    cluster.make("second")
    write(cluster.data / "server/manifests/later.yaml", "later", 0o600)
    write(cluster.data / "server/db/state.db-wal", "a log of the second", 0o600)
    write(cluster.drop_ins / "50-k3s-rootless-limits.conf", "later", 0o644)
    (cluster.data / "agent/etc/rancher/node/password").unlink()
    return file


def record_of(cluster: Cluster) -> Path:
    """Return the path of the record."""
    return cluster.place / "backups/transaction.json"


def parts(cluster: Cluster, archive: Path) -> tuple[Slot, ...]:
    """Return what a restore replaces."""
    existing = (*files.templates(cluster.data), *files.ours(cluster.drop_ins))
    manifest = verify.manifest_of(archive).manifest
    return slots.of(manifest, cluster.roots, str(cluster.configuration), existing)


def stage(cluster: Cluster, archive: Path) -> Record:
    """Stage a backup."""
    return replacement.stage(
        record_of(cluster), archive, parts(cluster, archive), lambda _: None, running=True
    )


def loaded(cluster: Cluster) -> Record:
    """Return the record, as the next process reads it."""
    found = records.load(record_of(cluster))
    assert found
    return found


def assert_restored(cluster: Cluster) -> None:
    """Fail if anything of the second state is left."""
    content = cluster.snapshot()
    assert {text for path, text in content.items() if b"second" in text} == set()
    assert b"later" not in content.values()
    assert content["home/.rancher/k3s/server/tls/etcd/peer.key"] == b"first"
    assert content["home/.rancher/k3s/agent/etc/rancher/node/password"] == b"first"
    assert content["home/.config/systemd/user/k3s-rootless.service.d/override.conf"] == b"mine"
    assert not any("k3s-rootless-re" in path for path in content)
    assert not any(path.endswith("-wal") for path in content)
    assert len(cluster.rows()) == 20


def test_a_restore_brings_back_the_state_of_the_backup(cluster: Cluster, archive: Path) -> None:
    record = replacement.replace(record_of(cluster), stage(cluster, archive))
    replacement.finish(record_of(cluster), record)

    assert_restored(cluster)
    assert records.load(record_of(cluster)) is None
    key = cluster.data / "server/tls/etcd/peer.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.stat().st_mtime == 1_700_000_000
    assert (cluster.data / "server/tls/server-ca.crt").stat().st_mode & 0o777 == 0o644


def test_a_staged_backup_changes_nothing(cluster: Cluster, archive: Path) -> None:
    before = cluster.snapshot()

    replacement.discard(record_of(cluster), stage(cluster, archive))

    assert before == cluster.snapshot()


def test_an_undone_restore_leaves_what_was_there(cluster: Cluster, archive: Path) -> None:
    before = cluster.snapshot()
    record = replacement.replace(record_of(cluster), stage(cluster, archive))
    # K3s ran with the backup and wrote its own files.
    write(cluster.data / "server/db/state.db-wal", "a log of the backup", 0o600)
    write(cluster.data / "server/db/state.db-shm", "", 0o600)
    write(cluster.data / "server/manifests/traefik.yaml", "packaged", 0o600)

    replacement.undo(record_of(cluster), record)

    assert before == cluster.snapshot()


def test_a_damaged_archive_changes_nothing(cluster: Cluster, archive: Path) -> None:
    before = cluster.snapshot()
    archive.write_bytes(archive.read_bytes()[:-30])

    with pytest.raises(RootlessError, match="truncated"):
        stage(cluster, archive)

    assert before == cluster.snapshot()
    assert records.load(record_of(cluster)) is None


def test_an_archive_that_is_refused_changes_nothing(cluster: Cluster, archive: Path) -> None:
    def judge(_: object) -> None:
        raise RootlessError("refused")

    before = cluster.snapshot()
    with pytest.raises(RootlessError, match="refused"):
        replacement.stage(record_of(cluster), archive, parts(cluster, archive), judge, running=True)
    assert before == cluster.snapshot()


def test_a_full_disk_changes_nothing(cluster: Cluster, archive: Path) -> None:
    before = cluster.snapshot()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
        try:
            stage(cluster, archive)
        except RootlessError as error:
            os._exit(0 if "cannot unpack" in error.message else 2)
        os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
    assert before == cluster.snapshot()


@pytest.mark.thorough
def test_a_restore_killed_anywhere_is_continued_or_undone(cluster: Cluster, archive: Path) -> None:
    place = cluster.place / "home"
    saved = cluster.place / "saved"
    shutil.copytree(place, saved)
    before = cluster.snapshot()

    def work() -> None:
        record = replacement.replace(record_of(cluster), stage(cluster, archive))
        replacement.finish(record_of(cluster), record)

    points = 0
    phases = set()
    for point in killed_at_many_points(work):
        points = point
        phases.add(recover(cluster, before, undo=bool(point // 4 % 2)))
        shutil.rmtree(place)
        shutil.copytree(saved, place)
        record_of(cluster).unlink(missing_ok=True)

    assert_restored(cluster)
    assert points > 100
    assert {Phase.STAGING, Phase.REPLACING, Phase.PLACED, Phase.READY} <= phases


def recover(cluster: Cluster, before: dict[str, bytes], *, undo: bool) -> Phase | None:
    """Continue or undo after a kill, as a command does, and check the result."""
    record = records.load(record_of(cluster))
    if record is None:
        # It was killed before the first change of a path, or after the last one.
        if cluster.snapshot() != before:
            assert_restored(cluster)
        return None
    if record.phase is Phase.STAGING:
        replacement.discard(record_of(cluster), record)
        assert before == cluster.snapshot()
    elif record.phase is Phase.READY:
        replacement.finish(record_of(cluster), record)
        assert_restored(cluster)
    elif undo:
        replacement.undo(record_of(cluster), record)
        assert before == cluster.snapshot()
    else:
        replacement.finish(record_of(cluster), replacement.replace(record_of(cluster), record))
        assert_restored(cluster)
    return record.phase


def test_an_undo_killed_anywhere_is_continued(cluster: Cluster, archive: Path) -> None:
    before = cluster.snapshot()
    record = replacement.replace(record_of(cluster), stage(cluster, archive))
    place = cluster.place / "home"
    saved = cluster.place / "saved"
    shutil.copytree(place, saved)
    file = record_of(cluster).read_bytes()

    points = 0
    for point in killed_at_many_points(lambda: replacement.undo(record_of(cluster), record)):
        points = point
        left = records.load(record_of(cluster))
        if left is not None:
            replacement.undo(record_of(cluster), left)
        assert before == cluster.snapshot()
        shutil.rmtree(place)
        shutil.copytree(saved, place)
        record_of(cluster).write_bytes(file)

    assert before == cluster.snapshot()
    assert points > 40


def test_what_an_earlier_restore_left_is_not_overwritten(cluster: Cluster, archive: Path) -> None:
    left = cluster.data / "server/.tls.k3s-rootless-replaced"
    left.mkdir()

    with pytest.raises(RootlessError, match="no record says why"):
        stage(cluster, archive)

    assert left.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"phase": "x"}', "\udcff"])
def test_a_damaged_record_is_reported(text: str, cluster: Cluster) -> None:
    record_of(cluster).parent.mkdir()
    record_of(cluster).write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(RootlessError, match="cannot parse"):
        loaded(cluster)
