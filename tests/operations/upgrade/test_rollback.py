"""Tests of rollbacks: done, undone, and refused."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace

import pytest

from k3s_rootless.backup import persistent_volumes
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations.backup import create
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.upgrade import document, perform, plan, rollback
from k3s_rootless.operations.upgrade.rollback import RolledBack
from tests.backup import cluster
from tests.backup.test_persistent_volumes import ENCODED
from tests.fakes.release_server import LIMITS
from tests.operations import unit
from tests.operations.upgrade.k3s import BEFORE, NEW, NEXT, OLD, World, assert_whole

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")
LATER = "/registry/configmaps/default/later"
REQUEST = rollback.Request(5, yes=True)


@pytest.fixture
def upgraded(world: World) -> World:
    """Return a K3s that was upgraded, and has written since then."""
    upgrade(world)
    world.insert(LATER, "/registry/leases/kube-system/a", "/registry/helm.cattle.io/charts/a/b")
    return world


def upgrade(world: World) -> None:
    """Upgrade K3s."""
    with world.context.manager() as manager, world.context.locked():
        made = plan.make(world.context, manager, plan.Request(5, NEW), LIMITS)
        perform.switched(world.context, made, world.cluster(manager))


def rolled_back(world: World, wanted: str | None = None) -> RolledBack:
    """Roll back, with a K3s that is played."""
    made = rollback.dry_run(world.context, replace(REQUEST, wanted=wanted))
    with world.context.manager() as manager, world.context.locked():
        return rollback.switched(world.context, made, world.cluster(manager))


def test_a_rollback_uses_the_release_before_and_its_backup(upgraded: World) -> None:
    assert LATER in upgraded.rows()

    done = rolled_back(upgraded)

    assert_whole(upgraded)
    assert (OLD, NEW) == (upgraded.linked, installed.linked(upgraded.own, installed.PREVIOUS))
    rows = upgraded.rows()
    assert f"/registry/configmaps/default/of-{OLD}" in rows
    assert not {LATER, f"/registry/configmaps/default/of-{NEW}"} & rows
    assert f"K3s {OLD};" in upgraded.unit.read_text()
    found = document.of_rollback(done)
    assert (NEW, OLD) == (found["from"], found["to"])
    assert [
        {"resource": "configmaps", "count": 2},
        {"resource": "charts.helm.cattle.io", "count": 1},
    ] == found["lost"]["objects"]
    assert [("upgrade", True), ("rollback", True)] == [
        (one.kind, one.done) for one in installed.history(upgraded.own)
    ]


def test_the_later_release_is_used_again_if_the_earlier_one_does_not_get_ready(
    upgraded: World,
) -> None:
    upgraded.broken.add(OLD)

    with pytest.raises(RootlessError, match=r"cannot roll back K3s from .* runs again"):
        rolled_back(upgraded)

    assert_whole(upgraded)
    assert upgraded.linked == NEW
    assert LATER in upgraded.rows()
    assert f"K3s {NEW};" in upgraded.unit.read_text()


def test_a_rollback_to_a_named_release(upgraded: World) -> None:
    assert OLD == rolled_back(upgraded, OLD.removeprefix("v")).plan.after


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (BEFORE, "there is no backup of it"),
        (NEXT, "which is not newer"),
        (NEW, "which is not newer"),
    ],
)
def test_other_releases_are_refused(upgraded: World, wanted: str, why: str) -> None:
    with pytest.raises(RootlessError, match=why):
        rollback.dry_run(upgraded.context, replace(REQUEST, wanted=wanted))

    assert upgraded.linked == NEW


def test_a_channel_is_no_release(upgraded: World) -> None:
    with pytest.raises(UsageError, match="name a release"):
        rollback.dry_run(upgraded.context, replace(REQUEST, wanted="stable"))


def test_without_an_upgrade_there_is_no_release_before(world: World) -> None:
    create.create(world.context, create.Request())

    with pytest.raises(RootlessError, match="no release before"):
        rollback.dry_run(world.context, REQUEST)


def test_consent_is_required(upgraded: World) -> None:
    request = replace(REQUEST, yes=False)
    questions: list[str] = []

    def refuse(question: str) -> bool | None:
        questions.append(question)
        return False

    with pytest.raises(UsageError, match="this is no terminal"):
        rollback.rollback(upgraded.context, request, lambda _: None, lambda _: None, LIMITS)
    with pytest.raises(RootlessError, match="nothing was changed"):
        rollback.rollback(upgraded.context, request, refuse, lambda _: None, LIMITS)

    assert "is lost" in questions[0]
    assert upgraded.linked == NEW


def test_volumes_stay_and_lost_ones_are_listed(world: World, events: list[Event]) -> None:
    volume = world.data / "storage/pvc-1/file"
    cluster.write(volume, "data", 0o600)
    for name, path in (("kept", volume.parent), ("gone", world.data / "storage/pvc-2")):
        key = f"{persistent_volumes.PREFIX}{name}"
        value = ENCODED["protobuf"]["pvc-local"]
        found = persistent_volumes.read(1, key, value)
        with closing(cluster.opened(world.database)) as database:
            row = (key, persistent_volumes.moved(found, value, str(path)))
            database.execute("INSERT INTO kine (name, deleted, value) VALUES (?, 0, ?)", row)
            database.commit()
    upgrade(world)

    rolled_back(world)

    assert_whole(world)
    assert volume.read_text() == "data"
    (warning,) = (text for text in unit.notices(events) if "have no data" in text)
    assert "storage/pvc-2" in warning
    assert "storage/pvc-1" not in warning


def test_a_backup_of_another_user_is_refused(upgraded: World) -> None:
    other = replace(upgraded.context, user="bob")

    with pytest.raises(RootlessError, match=r"cannot roll back with .* and you are bob"):
        rollback.dry_run(other, REQUEST)


def test_the_directory_of_volumes_becomes_that_of_the_backup(upgraded: World) -> None:
    (upgraded.data / "storage").symlink_to(upgraded.data / "elsewhere")

    assert OLD == rolled_back(upgraded).plan.after
