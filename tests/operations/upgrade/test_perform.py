"""Tests of upgrades: done, undone, and killed anywhere."""

from __future__ import annotations

import os
import re
import resource
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup import replacement
from k3s_rootless.backup.facts import Kind, Phase, Record, Replaced, Switch
from k3s_rootless.binaries import installed, store
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import restart, up
from k3s_rootless.operations.backup import kept, surroundings
from k3s_rootless.operations.backup.surroundings import Surroundings
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.releases.prune import prune
from k3s_rootless.operations.releases.use import use
from k3s_rootless.operations.upgrade import document, perform, plan, resume
from k3s_rootless.operations.upgrade.perform import Upgraded
from k3s_rootless.operations.upgrade.plan import Plan
from k3s_rootless.paths import UNIT
from tests.backup.cluster import insert_and_die
from tests.fakes.release_server import LIMITS
from tests.operations import unit
from tests.operations.backup import k3s
from tests.operations.upgrade.k3s import ALL, NEW, OLD, World, assert_undone, assert_upgraded

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")
LATE = "/registry/secrets/default/late"
REQUEST = plan.Request(5, NEW, yes=True)


def planned(world: World, request: plan.Request = REQUEST) -> Plan:
    """Return the plan."""
    with world.context.manager() as manager:
        return plan.make(world.context, manager, request, LIMITS)


def upgraded(world: World, made: Plan | None = None) -> Upgraded:
    """Upgrade, with a K3s that is played."""
    made = made or planned(world)
    with world.context.manager() as manager, world.context.locked():
        return perform.switched(world.context, made, world.cluster(manager))


def test_an_upgrade(world: World, events: list[Event]) -> None:
    before = world.running()

    done = upgraded(world)

    assert before
    assert_upgraded(world)
    assert done.changed
    assert done.downtime is not None
    assert done.backup == kept.kept(world.context)[0].path
    (entry,) = installed.history(world.own)
    assert (OLD, NEW, True, str(done.backup)) == (
        entry.before,
        entry.after,
        entry.done,
        entry.backup,
    )
    found = document.of_upgrade(done)
    assert (OLD, NEW, True, str(done.backup)) == (
        found["from"],
        found["to"],
        found["changed"],
        found["backup"],
    )
    steps = unit.steps(events)
    assert steps.index("stop k3s-rootless.service") < steps.index("restart k3s-rootless.service")


def write_late(world: World) -> None:
    """Let K3s write to its datastore after the backup, shortly before it is stopped."""

    def write() -> None:
        if LATE not in world.rows():
            world.insert(LATE)

    world.before_stop = write


def test_an_undo_keeps_the_last_writes(world: World) -> None:
    write_late(world)
    world.broken.add(NEW)

    with pytest.raises(RootlessError):
        upgraded(world)

    assert LATE in world.rows()


def test_the_backup_of_an_upgrade_has_the_last_writes(world: World) -> None:
    write_late(world)

    done = upgraded(world)

    assert done.backup
    manifest = kept.verified(world.context, done.backup).manifest
    assert (OLD, 12, False) == (manifest.origin.k3s, manifest.revision, manifest.live)


def test_the_backup_of_an_upgrade_has_the_log_of_a_k3s_that_was_killed(world: World) -> None:
    world.before_stop = lambda: insert_and_die(world.database, LATE)

    done = upgraded(world)

    assert done.backup
    manifest = kept.verified(world.context, done.backup).manifest
    assert "data/server/db/state.db-shm" in {one.name for one in manifest.entries}
    assert manifest.revision == 12


def test_the_earlier_release_is_used_again_if_the_new_one_does_not_get_ready(
    world: World,
) -> None:
    world.broken.add(NEW)
    before, text = k3s.content(world.data), world.unit.read_text()

    with pytest.raises(RootlessError) as error:
        upgraded(world)

    assert_undone(world, before, text)
    message = error.value.message
    assert message.startswith(f"cannot upgrade K3s from {OLD} to {NEW}: K3s is not ready after 5 s")
    assert f"K3s {OLD} runs again, with its datastore" in message
    failed = Path(str(error.value.details["failed_datastore"]))
    assert f"`{failed}`: it can hold what was written to the cluster since" in message
    assert f"/registry/configmaps/default/of-{NEW}" in world.rows(failed / "state.db")
    assert error.value.details["rolled_back"]
    assert "logs --previous" in (error.value.hint or "")
    assert f"k3s-rootless upgrade {NEW} --timeout" in (error.value.hint or "")
    (entry,) = installed.history(world.own)
    assert not entry.done


@pytest.fixture
def from_elsewhere(world: World) -> World:
    """Return a K3s that runs from a binary on PATH, not from a release of ours."""
    program = unit.write_k3s(world.context.paths.home, f"k3s version {OLD} (50fa2d70)")
    store.put_back(world.own, None, None)
    up.up(world.context, up.Request(ignored=ALL, restart=True), lambda _: None)
    assert f'ExecStart="{program}" server' in world.unit.read_text()
    return world


def test_a_k3s_from_elsewhere_is_replaced_by_a_release(from_elsewhere: World) -> None:
    world = from_elsewhere

    upgraded(world)

    assert world.linked == NEW
    assert installed.linked(world.own, installed.PREVIOUS) is None
    assert f'ExecStart="{world.own}/bin/k3s" server' in world.unit.read_text()


def test_a_k3s_from_elsewhere_is_used_again(from_elsewhere: World) -> None:
    world = from_elsewhere
    world.broken.add(NEW)
    text = world.unit.read_text()

    with pytest.raises(RootlessError, match=f"K3s {re.escape(OLD)} runs again"):
        upgraded(world)

    assert world.linked is None
    assert text == world.unit.read_text()


def test_without_a_backup_there_is_no_way_back(world: World) -> None:
    world.broken.add(NEW)

    with pytest.raises(RootlessError, match="nothing was undone, because there is no backup"):
        upgraded(world, planned(world, replace(REQUEST, backup=False)))

    assert world.linked == NEW
    assert world.record is None
    assert () == kept.kept(world.context)


def test_an_upgrade_of_a_stopped_k3s(world: World) -> None:
    with world.context.manager() as manager:
        manager.stop("k3s-rootless.service")

    done = upgraded(world)

    assert_upgraded(world)
    assert done.downtime is None


def test_a_backup_that_cannot_be_completed_stays(world: World, events: list[Event]) -> None:
    """A directory has the name of the second backup."""

    def block() -> None:
        record = world.record
        assert record
        assert record.stopped
        name = f"k3s-rootless-backup-{record.stopped:%Y%m%dT%H%M%SZ}.tar.gz"
        (world.context.paths.backups / name).mkdir()

    def earlier() -> None:
        record = world.record
        assert record
        assert record.archive
        old = record.archive.with_name("k3s-rootless-backup-20200101T000000Z.tar.gz")
        record.archive.rename(old)
        records.save(world.context.paths.transaction, replace(record, archive=old))

    world.before_stop, world.after_start = earlier, block

    upgraded(world)

    assert any("cannot complete the backup" in text for text in unit.notices(events))
    assert world.record is None


def test_a_full_disk_after_the_stop_lets_k3s_run_again(world: World) -> None:
    """What K3s writes last does not fit beside its datastore any more."""
    made = planned(world)
    before, text = k3s.content(world.data), world.unit.read_text()

    def fill() -> None:
        world.insert(*(f"/registry/secrets/default/{number:0>1000}" for number in range(1000)))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        world.before_stop = lambda: None

    child = os.fork()
    if child == 0:
        world.before_stop = fill
        try:
            upgraded(world, made)
        except RootlessError as error:
            os._exit(0 if "file too large" in error.message else 2)
        os._exit(1)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert_undone(world, before, text)
    assert 1000 < len(world.rows())


@pytest.mark.parametrize("call", range(1, 41, 5))
def test_a_user_manager_that_ends_during_an_upgrade(world: World, call: int) -> None:
    """The manager ends at one of its calls; a new one runs when the next command continues."""
    made = planned(world)
    before, text = k3s.content(world.data), world.unit.read_text()
    world.bus.kill_manager()
    (world.bus.directory / "ready").unlink()
    world.bus.order(exit_at_call=call + 12)
    world.bus.start_manager()

    with suppress(RootlessError):
        upgraded(world, made)
    world.bus.order()
    world.bus.kill_manager()
    (world.bus.directory / "ready").unlink()
    world.bus.start_manager()
    record = world.record
    with world.context.manager() as manager:
        if record:
            resume.continued(world.context, record, world.cluster(manager), made.now.here)
        manager.start("k3s-rootless.service")

    if world.linked == NEW:
        assert_upgraded(world)
    else:
        assert_undone(world, before, text)


def test_consent_is_required(world: World) -> None:
    request = replace(REQUEST, yes=False)
    shown: list[Plan] = []
    before = k3s.content(world.data)

    with pytest.raises(UsageError, match="this is no terminal"):
        perform.upgrade(world.context, request, lambda _: None, shown.append, LIMITS)
    with pytest.raises(RootlessError, match="nothing was changed"):
        perform.upgrade(world.context, request, lambda _: False, shown.append, LIMITS)

    assert [NEW, NEW] == [one.after for one in shown]
    assert before == k3s.content(world.data)
    assert world.linked == OLD


def test_nothing_to_do(world: World) -> None:
    request = plan.Request(5, OLD, yes=True)

    done = perform.upgrade(world.context, request, lambda _: None, lambda _: None, LIMITS)

    assert not done.changed
    assert document.of_upgrade(done)["changed"] is False


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = k3s.content(world.data), k3s.content(world.own / "releases")

    made = perform.dry_run(world.context, plan.Request(5, NEW), LIMITS)

    assert before == (k3s.content(world.data), k3s.content(world.own / "releases"))
    assert document.of_plan(made)["changed"]
    assert document.of_plan(made)["dry_run"]


def interrupted(world: World) -> None:
    """Leave an upgrade that is interrupted while the new release starts."""
    world.interrupts = True
    with pytest.raises(KeyboardInterrupt):
        upgraded(world)
    world.interrupts = False


def test_other_commands_are_refused_while_an_upgrade_is_open(
    world: World, events: list[Event]
) -> None:
    interrupted(world)

    assert any("`k3s-rootless up` continues it" in text for text in unit.notices(events))
    with pytest.raises(RootlessError, match=r"upgrade from .* is not finished") as error:
        restart.restart(world.context, None)
    assert "k3s-rootless upgrade --continue" in (error.value.hint or "")
    with pytest.raises(RootlessError, match="is not finished"):
        perform.upgrade(world.context, REQUEST, lambda _: True, lambda _: None, LIMITS)
    with pytest.raises(RootlessError, match="is not finished"):
        perform.dry_run(world.context, REQUEST, LIMITS)
    with pytest.raises(RootlessError, match="is not finished"):
        use(world.context, OLD)
    with pytest.raises(RootlessError, match="is not finished"):
        prune(world.context, dry_run=False)


def test_an_open_upgrade_is_undone_on_request(world: World) -> None:
    before, text = k3s.content(world.data), world.unit.read_text()
    interrupted(world)
    record = world.record
    assert record
    assert record.phase is Phase.PLACED

    with world.context.manager() as manager:
        done = resume.aborted(world.context, record, world.cluster(manager))

    assert_undone(world, before, text)
    found = document.of_resumed(done)
    assert ("undone", OLD, NEW) == (found["outcome"], found["from"], found["to"])
    assert found["failed_datastore"]


def test_a_release_that_is_still_starting_is_not_stopped_again(
    world: World, events: list[Event]
) -> None:
    interrupted(world)
    record = world.record
    assert record
    events.clear()

    with world.context.manager() as manager:
        done = resume.continued(world.context, record, world.cluster(manager), here(world))

    assert [] == unit.steps(events)
    assert done.downtime is not None
    assert_upgraded(world)


def here(world: World) -> Surroundings:
    """Return the surroundings of K3s."""
    with world.context.manager() as manager:
        return surroundings.read(world.context, manager)


def test_there_is_nothing_to_continue(world: World) -> None:
    for undo in (False, True):
        with pytest.raises(UsageError, match="no upgrade and no rollback is unfinished"):
            resume.resume(world.context, 5, undo=undo)


def test_an_upgrade_begins_again_after_one_that_changed_nothing(
    world: World, events: list[Event]
) -> None:
    """That one is killed before anything is replaced; the user then declines another one."""
    record = Record(
        Phase.STAGING, Path("/a"), (), running=True, kind=Kind.UPGRADE, switch=Switch(OLD, NEW)
    )
    replacement.begin(world.context.paths.transaction, record)

    with pytest.raises(RootlessError, match="nothing was changed"):
        perform.upgrade(
            world.context, replace(REQUEST, yes=False), lambda _: False, lambda _: None, LIMITS
        )

    assert world.record is None
    assert world.running()
    assert any("removed: it had changed nothing" in text for text in unit.notices(events))


def test_up_removes_what_an_upgrade_has_left_that_changed_nothing(
    world: World, events: list[Event]
) -> None:
    record = Record(
        Phase.STAGING, Path("/a"), (), running=True, kind=Kind.UPGRADE, switch=Switch(OLD, NEW)
    )
    replacement.begin(world.context.paths.transaction, record)

    up.up(world.context, up.Request(ignored=ALL), lambda _: None)

    assert world.record is None
    assert any("removed: it had changed nothing" in text for text in unit.notices(events))


def stopped_by_a_backup(world: World, *, hours: int) -> None:
    """Leave K3s stopped by a killed backup with --stop, this many hours after its last start."""
    with world.context.manager() as manager:
        manager.stop(UNIT)
        started = manager.unit(UNIT).started or datetime.now(UTC)
    since = started + timedelta(hours=hours)
    record = Record(Phase.STAGING, None, (), running=True, kind=Kind.BACKUP, stopped=since)
    replacement.begin(world.context.paths.transaction, record)


def test_a_k3s_that_a_backup_has_stopped_runs_again_before_an_upgrade(
    world: World, events: list[Event]
) -> None:
    stopped_by_a_backup(world, hours=1)

    # It does not get ready, because no API server answers.
    with world.context.manager() as manager, pytest.raises(RootlessError):
        resume.clear(world.context, manager, 0.1)

    assert world.record is None
    assert world.running()
    assert any("starting K3s: a backup" in text for text in unit.notices(events))


def test_a_k3s_that_the_user_has_stopped_since_a_backup_stays_stopped(world: World) -> None:
    stopped_by_a_backup(world, hours=-1)

    with world.context.manager() as manager, world.context.locked():
        resume.clear(world.context, manager, 0.1)

    assert world.record is None
    assert not world.running()


@pytest.mark.parametrize("phase", [Phase.UNDOING, Phase.UNDONE])
def test_up_finishes_the_undo_of_a_restore(world: World, events: list[Event], phase: Phase) -> None:
    path = world.data / "server/token"
    before = path.read_text()
    record = Record(phase, Path("/a"), (Replaced(path, new=True, old=True),))
    replacement.begin(world.context.paths.transaction, record)
    if phase is Phase.UNDOING:
        path.rename(replacement.copy_of(path))
        path.write_text("of the backup")

    up.up(world.context, up.Request(ignored=ALL), lambda _: None)

    assert world.record is None
    assert [] == world.hidden()
    assert before == path.read_text()
    assert world.running()
    assert "the earlier state was put back" in unit.notices(events)
