"""Tests of the plan of an upgrade: what it says, and what it refuses."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from k3s_rootless.backup.facts import Datastore
from k3s_rootless.binaries import installed, store
from k3s_rootless.errors import (
    NotRunning,
    PreflightFailed,
    RootlessError,
    UnsupportedHost,
    UsageError,
    WouldOverwrite,
)
from k3s_rootless.operations.backup import create
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.releases.use import use
from k3s_rootless.operations.upgrade import current, plan
from k3s_rootless.operations.upgrade.plan import Plan
from tests.fakes.release_server import LIMITS, ReleaseServer
from tests.operations.upgrade.k3s import BEFORE, NEW, OLD, SKIPPING, World

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")


def make(context: Context, wanted: str | None = None, *, backup: bool = True) -> Plan:
    """Return the plan."""
    with context.manager() as manager:
        return plan.make(context, manager, plan.Request(5, wanted, backup=backup), LIMITS)


def test_the_default_is_the_stable_release(world: World) -> None:
    made = make(world.context)

    assert made.switch
    assert (OLD, NEW, OLD, None) == (
        made.switch.before,
        made.after,
        made.switch.linked,
        made.switch.previous,
    )
    assert made.changes == ()
    assert made.downtime is None


@pytest.mark.parametrize(("wanted", "reason"), [(OLD, "already in use"), ("v1.35", "already")])
def test_the_release_in_use_needs_no_upgrade(world: World, wanted: str, reason: str) -> None:
    made = make(world.context, wanted)

    assert made.switch is None
    assert reason in made.reason


def test_an_older_stable_release_is_no_upgrade(world: World, server: ReleaseServer) -> None:
    server.channels["stable"] = BEFORE

    made = make(world.context)

    assert made.switch is None
    assert f"K3s {OLD} is in use, and {BEFORE} is older" == made.reason


def test_a_minor_version_is_not_skipped(world: World) -> None:
    with pytest.raises(RootlessError, match="skipping a minor version") as error:
        make(world.context, SKIPPING)

    assert error.value.hint
    assert error.value.hint.endswith("k3s-rootless upgrade v1.36")


def test_there_is_no_way_down_without_a_backup(world: World) -> None:
    with pytest.raises(RootlessError, match="there is no backup of K3s") as error:
        make(world.context, BEFORE)

    assert "backup list" in (error.value.hint or "")


def test_the_way_down_is_a_rollback(world: World) -> None:
    create.create(world.context, create.Request())
    with world.context.manager() as manager:
        manager.stop("k3s-rootless.service")
    text = world.unit.read_text()
    world.unit.write_text(text.replace(OLD, NEW))
    with world.context.manager() as manager:
        manager.reload()

    with pytest.raises(RootlessError, match="it is older") as error:
        make(world.context, OLD)

    assert error.value.hint == f"go back to it, with its backup: k3s-rootless rollback {OLD}"


def test_a_release_that_cannot_start_rootless(world: World, server: ReleaseServer) -> None:
    server.channels["broken"] = "v1.36.5+k3s1"
    with world.context.manager() as manager:
        manager.stop("k3s-rootless.service")
    world.unit.write_text(world.unit.read_text().replace(OLD, "v1.35.0+k3s1"))
    use(world.context, OLD)
    with world.context.manager() as manager:
        manager.reload()

    with pytest.raises(UnsupportedHost, match="K3s #13667") as error:
        make(world.context, "v1.35.1+k3s1")

    assert error.value.hint == "k3s-rootless upgrade v1.35.2+k3s1"


@pytest.mark.parametrize("wanted", ["../x", "no-such-channel"])
def test_unknown_names(world: World, wanted: str) -> None:
    with pytest.raises((UsageError, RootlessError)):
        make(world.context, wanted)


def test_an_edited_unit_is_not_replaced(world: World) -> None:
    world.unit.write_text(world.unit.read_text().replace("RestartSec=2", "RestartSec=5"))

    with pytest.raises(WouldOverwrite):
        make(world.context)


def test_a_release_that_is_gone_leaves_no_way_back(world: World) -> None:
    """K3s runs with OLD, another release is in use, and OLD was removed."""
    use(world.context, NEW)
    store.remove_release(world.own, OLD)

    with pytest.raises(PreflightFailed, match="no way back") as error:
        make(world.context, "v1.36")

    assert error.value.hint
    assert error.value.hint.endswith(f"release get {OLD}")


def test_a_release_that_runs_but_is_not_in_use(world: World) -> None:
    use(world.context, NEW)

    made = make(world.context)

    assert made.switch
    assert (OLD, OLD) == (made.switch.before, made.switch.linked)
    assert installed.linked(world.own, installed.LINK) == NEW


def test_embedded_etcd_and_its_changes(world: World) -> None:
    (world.data / "server/db/etcd/member/wal").mkdir(parents=True)

    made = make(world.context)

    assert made.switch
    assert made.backup
    assert plan.datastore_size(world.data) == 0


def test_a_running_etcd_of_an_early_release_cannot_be_backed_up(world: World) -> None:
    (world.data / "server/db/etcd/member/wal").mkdir(parents=True)
    text = world.unit.read_text()
    world.unit.write_text(text.replace(OLD, "v1.25.16+k3s4"))

    with pytest.raises(PreflightFailed, match="cannot upgrade with a backup while K3s runs") as no:
        make(world.context, "v1.26.15+k3s1")

    assert "k3s-rootless down" in (no.value.hint or "")


def test_an_external_datastore_needs_its_own_backup(world: World) -> None:
    with world.context.manager() as manager:
        made = current.read(world.context, manager)
    external = replace(made, here=replace(made.here, datastore=Datastore.EXTERNAL))

    with pytest.raises(PreflightFailed, match="the datastore is external") as error:
        plan.require_datastore(world.context, external, made.release)

    assert "--no-backup" in (error.value.hint or "")


def test_a_k3s_that_was_never_started(world: World) -> None:
    world.database.unlink()

    with pytest.raises(RootlessError, match="contains no datastore"):
        make(world.context)


def test_too_little_space(world: World) -> None:
    """The datastore is larger than the file system, as a file with a hole."""
    with world.database.open("r+b") as file:
        file.truncate(2**44)

    with pytest.raises(PreflightFailed, match="MiB free") as error:
        make(world.context)

    assert "release prune" in (error.value.hint or "")


def test_without_a_unit(context: Context, server: ReleaseServer) -> None:
    with pytest.raises(NotRunning):
        make(replace(context, environ={**context.environ, **server.environ}))
