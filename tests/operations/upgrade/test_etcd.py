"""Tests of upgrades and rollbacks of a cluster with embedded etcd, with files of a real etcd."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup import etcd
from k3s_rootless.backup.facts import Datastore, Expected
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import kept
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.upgrade import perform, plan, rollback
from k3s_rootless.service.systemd.user import UserManager
from tests.backup.cluster import write
from tests.fakes.release_server import LIMITS, ReleaseServer, binary
from tests.fakes.session import Session
from tests.operations.upgrade.k3s import NEW, OLD, Played, World
from tests.real_etcd import EtcdData, copy_member

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")
SAVES = """#!/bin/sh
for word in "$@"; do
    case $word in
        --dir=*) exec /bin/cp {snapshot} "${{word#--dir=}}/k3s-rootless-node-1795820911" ;;
    esac
done
"""


class PlayedEtcd(Played):
    """A K3s with etcd, which leaves a file for each release that has used the datastore."""

    def start(self) -> None:
        """Start the unit."""
        SystemdCluster.start(self)
        write(member(self.world) / f"of-{self.world.linked}", "", 0o600)

    def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
        """Write etcd from a snapshot."""
        del expected
        assert self.world.linked == OLD, "the release of the snapshot must read it"
        database = member(self.world) / "member/snap/db"
        database.parent.mkdir(parents=True)
        database.write_bytes(snapshot.read_bytes()[:-32])
        (database.parent.parent / "wal").mkdir()


def member(world: World) -> Path:
    """Return the directory of etcd."""
    return world.data / "server/db/etcd"


def releases(world: World) -> set[str]:
    """Return the releases that have used the datastore."""
    return {path.name.removeprefix("of-") for path in member(world).glob("of-*")}


@pytest.fixture
def cluster(
    context: Context, bus: Session, server: ReleaseServer, home: Path, etcd_data: EtcdData
) -> World:
    """Return a running K3s with etcd."""
    shutil.copyfile(etcd_data.snapshot, home / "snapshot")
    lines = SAVES.format(snapshot=home / "snapshot").encode()
    server.publish(OLD, binary(OLD).replace(b"#!/bin/sh\n", lines, 1))
    world = World(replace(context, environ={**context.environ, **server.environ}), bus).make()
    world.database.unlink()
    copy_member(etcd_data, member(world))
    write(member(world) / f"of-{OLD}", "", 0o600)
    return world


def upgrade(world: World) -> perform.Upgraded:
    """Upgrade K3s."""
    with world.context.manager() as manager, world.context.locked():
        made = plan.make(world.context, manager, plan.Request(5, NEW), LIMITS)
        return perform.switched(world.context, made, played(world, manager))


def played(world: World, manager: UserManager) -> PlayedEtcd:
    """Return the cluster, with a K3s that is played."""
    return PlayedEtcd(world, manager)


def roll_back(world: World) -> rollback.RolledBack:
    """Roll back."""
    made = rollback.dry_run(world.context, rollback.Request(5, yes=True))
    with world.context.manager() as manager, world.context.locked():
        return rollback.switched(world.context, made, played(world, manager))


def test_the_backup_of_an_upgrade_has_the_files_of_the_stopped_etcd(
    cluster: World, etcd_data: EtcdData
) -> None:
    done = upgrade(cluster)

    assert {OLD, NEW} == releases(cluster)
    assert done.backup
    manifest = kept.verified(cluster.context, done.backup).manifest
    assert (Datastore.ETCD, etcd_data.revision) == (manifest.datastore, manifest.revision)
    names = {one.name for one in manifest.entries}
    assert f"data/server/db/etcd/of-{OLD}" in names
    assert f"data/server/db/etcd/of-{NEW}" not in names
    assert "data/server/db/etcd.snapshot" not in names
    assert [done.backup] == cluster.backups()
    assert [] == cluster.hidden()


def test_a_rollback_puts_the_files_back(cluster: World, etcd_data: EtcdData) -> None:
    upgrade(cluster)

    done = roll_back(cluster)

    assert done.plan.loss.revisions is None
    assert {OLD} == releases(cluster)
    assert cluster.linked == OLD
    assert etcd.check_database(member(cluster) / "member/snap/db") == etcd_data.revision
    assert [] == cluster.hidden()


def test_a_rollback_with_the_snapshot_from_before_the_stop(
    cluster: World,
) -> None:
    """The backup cannot be completed, because the copies are damaged."""

    class Damaging(PlayedEtcd):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            for path in member(self.world).parent.glob(".etcd.*/member/snap/db"):
                path.write_bytes(b"damaged by a disk" * 10)

    with cluster.context.manager() as manager, cluster.context.locked():
        made = plan.make(cluster.context, manager, plan.Request(5, NEW), LIMITS)
        done = perform.switched(cluster.context, made, Damaging(cluster, manager))
    assert done.backup
    names = {one.name for one in kept.verified(cluster.context, done.backup).manifest.entries}
    assert "data/server/db/etcd.snapshot" in names

    roll_back(cluster)

    assert {OLD} == releases(cluster)
    assert cluster.linked == OLD
    assert [] == cluster.hidden()


def test_a_failed_upgrade_is_undone_and_its_etcd_kept(cluster: World) -> None:
    cluster.broken.add(NEW)

    with pytest.raises(RootlessError, match="the datastore of the failed attempt is kept"):
        upgrade(cluster)

    assert {OLD} == releases(cluster)
    assert cluster.linked == OLD
    (failed,) = (cluster.data / "server/db").glob("failed-upgrade-*")
    assert (failed / f"etcd/of-{NEW}").exists()
    assert [] == cluster.hidden()
    assert not installed.history(cluster.own)[-1].done
