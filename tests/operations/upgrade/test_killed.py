"""Tests of upgrades and rollbacks that are killed before each step that changes the system."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup.facts import Phase
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.operations.upgrade import perform, plan, resume, rollback
from k3s_rootless.operations.upgrade.plan import Plan
from tests.fakes.release_server import LIMITS
from tests.killing import STEP, killed_at_many_points
from tests.operations.backup import k3s
from tests.operations.upgrade.k3s import (
    NEW,
    OLD,
    World,
    assert_undone,
    assert_upgraded,
    assert_whole,
)

LATER = "/registry/configmaps/default/later"
pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only"),
    pytest.mark.timeout(300),
]


def counted(world: World) -> World:
    """Return a world in which each call of the user manager can be the last one."""

    def listen(event: Event) -> None:
        if isinstance(event, StepBegins):
            sys.audit(STEP)

    return replace(world, context=replace(world.context, listener=listen))


def upgrading(world: World, made: Plan) -> Callable[[], object]:
    """Return the work of a process that upgrades."""

    def work() -> None:
        there = counted(world)
        with there.context.manager() as manager, there.context.locked(), suppress(RootlessError):
            perform.switched(there.context, made, there.cluster(manager))

    return work


def recovered(world: World, made: Plan, *, undo: bool) -> Phase | None:
    """Do what the next command does: continue the open transaction, or undo it."""
    record = world.record
    if record is None:
        # It was killed before or after the transaction. The next backup removes what is left.
        for left in world.context.paths.backups.glob(".k3s-rootless-*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        return None
    with world.context.manager() as manager, world.context.locked():
        cluster = world.cluster(manager)
        with suppress(RootlessError):
            if undo and record.phase is not Phase.READY:
                resume.aborted(world.context, record, cluster)
            else:
                resume.continued(world.context, record, cluster, made.now.here)
    return record.phase


@pytest.mark.parametrize(
    ("broken", "every", "fewest"), [(False, 2, 100), (True, 3, 70)], ids=["works", "broken"]
)
def test_an_upgrade_killed_at_any_step_is_finished_or_undone(
    world: World, tmp_path: Path, every: int, fewest: int, *, broken: bool
) -> None:
    if broken:
        world.broken.add(NEW)
    with world.context.manager() as manager:
        made = plan.make(world.context, manager, plan.Request(5, NEW), LIMITS)
    world.save(tmp_path / "saved")
    before, text = k3s.content(world.data), world.unit.read_text()
    phases: Counter[Phase | None] = Counter()

    for point in killed_at_many_points(upgrading(world, made), every):
        phases[recovered(world, made, undo=bool(point // every % 2))] += 1
        if world.linked == NEW:
            assert not broken
            assert_upgraded(world, len(list(world.context.paths.backups.glob("*.gz"))))
        else:
            assert_undone(world, before, text)
        restart(world, tmp_path / "saved")

    assert phases.total() >= fewest, phases
    assert {Phase.STAGING, Phase.REPLACING, Phase.PLACED} <= set(phases)
    assert (Phase.UNDOING if broken else Phase.READY) in phases


def test_a_rollback_killed_at_any_step_is_finished_or_undone(world: World, tmp_path: Path) -> None:
    with world.context.manager() as manager, world.context.locked():
        made = plan.make(world.context, manager, plan.Request(5, NEW), LIMITS)
        perform.switched(world.context, made, world.cluster(manager))
    world.insert(LATER)
    backwards = rollback.dry_run(world.context, rollback.Request(5))
    world.save(tmp_path / "saved")
    ends: Counter[str | None] = Counter()

    def work() -> None:
        there = counted(world)
        with there.context.manager() as manager, there.context.locked():
            rollback.switched(there.context, backwards, there.cluster(manager))

    for point in killed_at_many_points(work, 3):
        recovered(world, made, undo=bool(point // 3 % 2))
        assert_whole(world)
        assert (world.linked == NEW) == (LATER in world.rows())
        assert f"K3s {world.linked};" in world.unit.read_text()
        ends[world.linked] += 1
        restart(world, tmp_path / "saved")

    assert ends.total() >= 30, ends
    assert {OLD, NEW} == set(ends)


def restart(world: World, saved: Path) -> None:
    """Restore all files, and let K3s run again as before."""
    world.reset(saved)
    with world.context.manager() as manager:
        manager.reload()
        manager.start("k3s-rootless.service")
