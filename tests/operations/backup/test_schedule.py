"""Tests of the schedule of backups, and of scheduled backups, with a fake user manager."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.backup import names, scheduled_run
from k3s_rootless.backup.records import Outcome, ScheduledRun
from k3s_rootless.cli.display import schedule as display
from k3s_rootless.cli.display.report import Report
from k3s_rootless.errors import RootlessError, WouldOverwrite
from k3s_rootless.observation import Known
from k3s_rootless.operations import uninstall
from k3s_rootless.operations.backup import age, create, schedule, scheduled
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import Paths
from k3s_rootless.service.unit import backup_units
from tests.fakes.session import Session
from tests.fakes.unit import NEXT_RUN
from tests.operations import unit
from tests.operations.backup import k3s

DAILY = schedule.Request("daily")
OFF = schedule.Request("off")
NEXT = datetime.fromtimestamp(NEXT_RUN / 1e6, UTC)


@pytest.fixture(autouse=True)
def program(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a k3s-rootless, and let it be the program of this process."""
    path = home / "bin/k3s-rootless"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path)])
    return path


def files(bus: Session) -> tuple[Path, Path, Path]:
    """Return the paths of the service, the timer, and the link that enables it."""
    units = bus.directory / "user"
    link = units / backup_units.WANTS / backup_units.TIMER
    return units / backup_units.SERVICE, units / backup_units.TIMER, link


def calls(bus: Session) -> list[str]:
    """Return the methods that were called with the timer, and reloads."""
    kinds = ("Start", "Stop", "Restart", "Enable", "Disable", "Reload")
    return [call[0] for call in bus.calls() if call[0].startswith(kinds)]


def test_without_a_schedule(
    context: Context, bus: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    found = schedule.show(context)

    assert found.age.every is None
    assert not found.active
    display.show(Report(), found)
    assert capsys.readouterr().out == (
        "schedule     none; set one with: k3s-rootless backup schedule daily\n"
    )
    assert schedule.document(found)["schedule"] is None


def test_a_schedule_is_set_changed_and_removed(
    context: Context, bus: Session, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service, timer, link = files(bus)

    changed = schedule.change(context, DAILY)

    assert calls(bus) == ["Reload", "EnableUnitFiles", "Reload", "StartUnit"]
    assert link.is_symlink()
    assert f'ExecStart="{program}" backup create --live --keep 7\n' in service.read_text()
    assert "OnCalendar=daily\n" in timer.read_text()
    found = changed.schedule
    assert (found.age.every, found.keep, found.active) == ("daily", 7, True)
    assert found.next_run == NEXT
    assert schedule.changed_document(changed)["changed"] is True
    display.show_changed(Report(), changed)
    out = capsys.readouterr().out
    assert "schedule     daily, the last 7 are kept\n" in out
    assert "next run     2027-01-15 08:00 UTC\n" in out
    assert "lingering    off: backups are created only while you are logged in" in out

    assert schedule.change(context, DAILY).steps == ()

    bus.calls()
    changed = schedule.change(context, schedule.Request("weekly", 3))
    assert calls(bus)[-2:] == ["Reload", "RestartUnit"]
    assert (changed.schedule.age.every, changed.schedule.keep) == ("weekly", 3)
    assert schedule.change(context, DAILY).schedule.keep == 3

    whole = schedule.change(context, schedule.Request("daily", volumes=True, images=True))
    assert "backup create --live --keep 3 --volumes --images\n" in service.read_text()
    display.show_changed(Report(), whole)
    out = capsys.readouterr().out
    assert "schedule     daily, the last 3 are kept, with volumes and images\n" in out
    changed = schedule.change(context, schedule.Request("daily", images=False))
    document = schedule.changed_document(changed)
    assert (document["volumes"], document["images"]) == (True, False)
    bus.calls()

    changed = schedule.change(context, OFF)
    assert calls(bus)[-4:] == ["StopUnit", "DisableUnitFiles", "Reload", "Reload"]
    assert not any(path.exists() or path.is_symlink() for path in (service, timer, link))
    assert changed.schedule.age.every is None
    assert schedule.change(context, OFF).steps == ()


def test_a_dry_run_changes_nothing(
    context: Context, bus: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = schedule.change(context, schedule.Request("daily", dry_run=True))

    display.show_changed(Report(), changed)
    out = capsys.readouterr().out
    assert f"1. write {files(bus)[0]}: it was requested\n" in out
    assert "enable k3s-rootless-backup.timer" in out
    assert schedule.changed_document(changed)["changed"] is False
    assert list(bus.units.iterdir()) == []


@pytest.mark.parametrize("request_", [schedule.Request("weekly"), OFF])
@pytest.mark.parametrize("number", [0, 1])
def test_an_edited_file_is_kept(
    request_: schedule.Request, number: int, context: Context, bus: Session
) -> None:
    schedule.change(context, DAILY)
    edited = files(bus)[number]
    edited.write_text(edited.read_text() + "# mine\n")
    before = edited.read_text()
    made = len(calls(bus))

    with pytest.raises(WouldOverwrite, match="it was edited") as error:
        schedule.change(context, request_)

    assert error.value.hint == "to replace or remove it and keep a copy, add --force"
    assert edited.read_text() == before
    assert calls(bus)[made:] == []
    assert files(bus)[1].exists()

    schedule.change(context, schedule.Request(request_.every, force=True))
    (copy,) = bus.units.glob("*.bak")
    assert copy.read_text() == before


def test_drift_is_shown(context: Context, bus: Session, capsys: pytest.CaptureFixture[str]) -> None:
    schedule.change(context, DAILY)
    timer = files(bus)[1]
    timer.write_text(timer.read_text().replace("daily", "Mon 03:00"))

    found = schedule.show(context)

    assert found.age.every == "Mon 03:00"
    display.show(Report(), found)
    assert f"drift        {timer} was written by k3s-rootless and edited" in capsys.readouterr().out
    assert [one["author"] for one in schedule.document(found)["files"]] == ["ours", "edited"]


def test_a_link_is_not_replaced(context: Context, bus: Session, home: Path) -> None:
    target = home / "mine.timer"
    target.write_text("[Timer]\nOnCalendar=daily\n")
    files(bus)[1].symlink_to(target)

    with pytest.raises(WouldOverwrite):
        schedule.change(context, DAILY)

    assert target.read_text() == "[Timer]\nOnCalendar=daily\n"


def test_a_masked_timer(context: Context, bus: Session) -> None:
    files(bus)[1].symlink_to("/dev/null")

    with pytest.raises(WouldOverwrite, match="it is masked"):
        schedule.change(context, DAILY)


def test_a_program_that_another_user_can_change(
    context: Context, bus: Session, program: Path
) -> None:
    program.chmod(0o777)

    with pytest.raises(RootlessError, match="every user can write to"):
        schedule.change(context, DAILY)

    assert list(bus.units.iterdir()) == []


def test_the_program_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/k3s_rootless/__main__.py"])

    assert schedule.program() == (sys.executable, "-I", "-m", "k3s_rootless")


def test_an_uninstall_removes_the_schedule(context: Context, bus: Session, home: Path) -> None:
    schedule.change(context, DAILY)

    done = uninstall.uninstall(context, uninstall.Request(), lambda _: None)

    assert not done.problems
    assert not any(path.exists() or path.is_symlink() for path in files(bus))
    assert {"StopUnit", "DisableUnitFiles"} <= set(calls(bus))
    assert done.kept == ()


def test_an_uninstall_keeps_an_edited_timer_but_stops_it(context: Context, bus: Session) -> None:
    schedule.change(context, DAILY)
    service, timer, link = files(bus)
    timer.write_text(timer.read_text() + "# mine\n")

    done = uninstall.uninstall(context, uninstall.Request(), lambda _: None)

    assert done.kept == (timer,)
    assert not service.exists()
    assert not link.is_symlink()
    with context.manager() as manager:
        assert manager.unit(backup_units.TIMER).active_state == "inactive"


def test_an_uninstall_without_a_user_manager(context: Context, bus: Session, home: Path) -> None:
    schedule.change(context, DAILY)
    shutil.copytree(bus.units, context.paths.user_units, symlinks=True)
    link = context.paths.user_units / backup_units.WANTS / backup_units.TIMER
    link.unlink()
    link.symlink_to(context.paths.user_units / backup_units.TIMER)
    bus.kill_bus()

    uninstall.uninstall(context, uninstall.Request(), lambda _: None)

    assert not link.is_symlink()
    assert list(context.paths.user_units.glob("k3s-rootless-backup*")) == []


@pytest.fixture
def data(bus: Session, home: Path) -> Path:
    """Return the data directory of an installed K3s."""
    unit.write_k3s(home)
    found = unit.write(bus, home)
    k3s.make(found)
    return found


def test_scheduled_backups_replace_only_each_other(context: Context, data: Path) -> None:
    mine = create.create(context, create.Request()).path
    directory = context.paths.backups
    old = [
        directory / names.archive(datetime(2026, 1, day, tzinfo=UTC), scheduled=True)
        for day in range(1, 5)
    ]
    for path in old:
        path.write_text("old")
    old[0].with_name(old[0].name.replace("0101", "0109")).symlink_to(mine)
    other = directory / "mine-scheduled.tar.gz"
    other.write_text("mine")

    created, deleted = scheduled.run(context, create.Request(), 3)

    assert names.is_scheduled(created.path.name)
    assert deleted == tuple(old[:2])
    assert mine.exists()
    assert other.exists()
    assert [path.exists() for path in old] == [False, False, True, True]
    run = scheduled_run.load(context.paths.scheduled_record)
    assert run
    assert run.outcome is Outcome.SUCCEEDED
    assert create.document(created, deleted)["deleted"] == [str(path) for path in deleted]


def test_a_failure_is_recorded_and_nothing_is_deleted(context: Context, data: Path) -> None:
    context.paths.backups.mkdir(parents=True)
    old = context.paths.backups / names.archive(datetime(2026, 1, 1, tzinfo=UTC), scheduled=True)
    old.write_text("old")
    (data / "server/db/state.db").write_bytes(b"no database" * 1000)

    with pytest.raises(RootlessError):
        scheduled.run(context, create.Request(), 1)

    assert old.exists()
    run = scheduled_run.load(context.paths.scheduled_record)
    assert run
    assert run.outcome is Outcome.FAILED
    assert "damaged" in run.problem or "not a database" in run.problem


def test_the_last_run_is_shown(
    context: Context, bus: Session, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule.change(context, DAILY)
    begun = datetime.now(UTC) + timedelta(minutes=1)
    failed = ScheduledRun(Outcome.FAILED, begun, "no space left on device")
    scheduled_run.save(context.paths.scheduled_record, failed)
    triggered = int((begun - timedelta(seconds=1)).timestamp() * 1e6)
    bus.order(properties={"LastTriggerUSec": ("t", triggered)})

    found = schedule.show(context)

    assert found.last_run
    display.show(Report(), found)
    out = capsys.readouterr().out
    assert f"last run     {found.last_run:%Y-%m-%d %H:%M} UTC, failed\n" in out
    assert "failed: no space left on device\n" in out
    document = schedule.document(found)
    assert document["run"]["problem"] == "no space left on device"

    later = int((begun + timedelta(days=1)).timestamp() * 1e6)
    bus.order(properties={"LastTriggerUSec": ("t", later)})
    display.show(Report(), schedule.show(context))
    assert "UTC, unknown since the user manager started\n" in capsys.readouterr().out


def test_lingering_needs_no_remark(
    context: Context, bus: Session, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = context.paths.root / "var/lib/systemd/linger" / context.user
    flag.parent.mkdir(parents=True)
    flag.touch()

    changed = schedule.change(context, DAILY)

    assert isinstance(changed.schedule.lingers, Known)
    display.show_changed(Report(), changed)
    assert "lingering" not in capsys.readouterr().out


def test_the_age_of_backups(context: Context, bus: Session) -> None:
    assert age.read(context, bus.units).last is None
    directory = context.paths.backups
    directory.mkdir(parents=True)
    for number, name in enumerate(("mine.tar.gz", "scheduled.json", ".a.tar.gz", "a.tar.gz.new")):
        (directory / name).write_text("")
        os.utime(directory / name, (1_700_000_000 + number, 1_700_000_000 + number))
    (directory / "scheduled.json").unlink()

    found = age.read(context, bus.units)

    assert found.last == datetime.fromtimestamp(1_700_000_000, UTC)
    assert age.document(found) == {
        "last": "2023-11-14T22:13:20+00:00",
        "schedule": None,
        "problem": None,
    }


def test_a_directory_of_backups_that_is_a_file(context: Context, bus: Session) -> None:
    context.paths.backups.parent.mkdir(parents=True)
    context.paths.backups.write_text("")

    with pytest.raises(RootlessError, match="cannot list"):
        age.read(context, bus.units)


def test_another_data_home_is_passed_to_the_service(context: Context, bus: Session) -> None:
    paths = context.paths
    moved = Paths(paths.root, paths.home, paths.runtime, paths.config, paths.home / "share")
    context = Context(moved, context.environ, context.uid, context.user, context.listener)

    schedule.change(context, DAILY)

    assert f"XDG_DATA_HOME={paths.home}/share" in files(bus)[0].read_text()
