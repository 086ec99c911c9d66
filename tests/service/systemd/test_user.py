from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from k3s_rootless import interruption
from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.paths import UNIT
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session
from tests.patience import HANGS, PATIENCE

TEXT = "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"


@pytest.fixture
def installed(fake: Session) -> Session:
    (fake.units / UNIT).write_text(TEXT)
    return fake


def test_the_manager_has_a_version_and_paths(manager: UserManager, fake: Session) -> None:
    assert "257.13-1~deb13u1" == manager.version
    assert "/user.slice/user-1500.slice/user@1500.service" == manager.control_group
    assert (fake.directory / "user.control", fake.units) == manager.unit_path


def test_missing_properties_of_an_old_manager_are_no_error(fake: Session) -> None:
    fake.order(without=["Version", "ControlGroup", "UnitPath"])

    with UserManager({}, fake.runtime, os.getuid()) as manager:
        assert ("of unknown version", "", ()) == (
            manager.version,
            manager.control_group,
            manager.unit_path,
        )


def _wait_until_interrupted(manager: UserManager) -> None:
    with interruption.delayed() as delay, delay.allowed():
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        manager.wait_change(HANGS)


def test_an_interrupted_wait_leaves_no_error_behind(
    fake: Session, caplog: pytest.LogCaptureFixture
) -> None:
    with UserManager({}, fake.runtime, os.getuid()) as manager:
        manager.watch(UNIT)
        with pytest.raises(KeyboardInterrupt):
            _wait_until_interrupted(manager)

    gc.collect()
    assert [] == [one.message for one in caplog.records]


def test_a_unit_file_is_loaded_only_by_a_reload(manager: UserManager, fake: Session) -> None:
    before = manager.unit(UNIT)
    (fake.units / UNIT).write_text(TEXT)
    unseen = manager.unit(UNIT)
    manager.reload()
    after = manager.unit(UNIT)

    assert ("not-found", False) == (before.load_state, before.installed)
    assert ("not-found", True) == (unseen.load_state, unseen.needs_reload)
    assert (after.load_state, after.needs_reload, after.fragment) == (
        "loaded",
        False,
        fake.units / UNIT,
    )
    assert ("/usr/local/bin/k3s", "server", "--rootless") == after.argv


def test_a_unit_is_enabled_and_disabled(manager: UserManager, installed: Session) -> None:
    states = [manager.unit(UNIT).file_state]
    for change in (manager.enable, manager.disable):
        change(UNIT)
        manager.reload()
        states.append(manager.unit(UNIT).file_state)

    assert ["disabled", "enabled", "disabled"] == states
    assert [
        ["EnableUnitFiles", [UNIT], False, False],
        ["DisableUnitFiles", [UNIT], False],
    ] == [call for call in installed.calls() if call[0].endswith("Files")]


@pytest.mark.parametrize(
    "after", [None, 0.0, 0.05, 1.3], ids=["before the reply", "at once", "soon", "after a turn"]
)
def test_a_start_ends_when_its_job_ends(
    installed: Session, manager: UserManager, after: float | None
) -> None:
    if after is not None:
        installed.order(job_after=after)

    manager.start(UNIT)

    assert manager.unit(UNIT).running


def test_stop_and_restart_end_with_their_jobs(installed: Session, manager: UserManager) -> None:
    installed.order(job_after=0.02)
    manager.start(UNIT)
    first = manager.unit(UNIT).invocation
    manager.restart(UNIT)
    second = manager.unit(UNIT)
    manager.stop(UNIT)

    assert second.running
    assert first != second.invocation
    assert not manager.unit(UNIT).running


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency"])
@pytest.mark.parametrize(
    ("member", "verb"), [("StartUnit", "start"), ("StopUnit", "stop"), ("RestartUnit", "restart")]
)
def test_a_failed_job_is_an_error_with_its_result(
    installed: Session, manager: UserManager, member: str, verb: str, result: str
) -> None:
    installed.order(results={member: result})

    with pytest.raises(SystemdError) as caught:
        getattr(manager, verb)(UNIT)

    assert (
        f"cannot {verb} `{UNIT}`: systemd's job ended with the result `{result}`"
        == caught.value.message
    )
    assert result == caught.value.name


def test_the_stop_of_a_hanging_unit_ends_with_an_error(
    installed: Session, manager: UserManager
) -> None:
    installed.order(job_after=-1)

    with pytest.raises(SystemdError) as caught:
        manager.stop(UNIT, seconds=0.2)

    assert (
        f"cannot stop `{UNIT}`: systemd's job did not finish within 0.2 s" == caught.value.message
    )
    assert f"kill its processes: systemctl --user kill --signal=SIGKILL {UNIT}" == caught.value.hint


def test_a_missing_unit_cannot_be_started(manager: UserManager) -> None:
    with pytest.raises(SystemdError) as caught:
        manager.start(UNIT)

    assert f"cannot start `{UNIT}`: Unit {UNIT} not found" == caught.value.message
    assert "org.freedesktop.systemd1.NoSuchUnit" == caught.value.name


def test_a_masked_unit_cannot_be_started(fake: Session, manager: UserManager) -> None:
    (fake.units / UNIT).symlink_to("/dev/null")

    with pytest.raises(SystemdError) as caught:
        manager.start(UNIT)

    assert not manager.unit(UNIT).installed
    assert "org.freedesktop.systemd1.UnitMasked" == caught.value.name


def test_an_error_without_a_message_is_an_error(fake: Session, manager: UserManager) -> None:
    fake.order(errors={"ResetFailedUnit": ("org.freedesktop.systemd1.Odd", None)})

    with pytest.raises(SystemdError) as caught:
        manager.reset_failed(UNIT)

    assert (
        "no reason given",
        "org.freedesktop.systemd1.Odd",
    ) == (caught.value.message, caught.value.name)


def test_the_reset_of_a_unit_that_is_not_loaded_is_no_error(
    fake: Session, manager: UserManager
) -> None:
    name = "org.freedesktop.systemd1.NoSuchUnit"
    fake.order(errors={"ResetFailedUnit": (name, f"Unit {UNIT} not loaded.")})

    manager.reset_failed(UNIT)

    assert "ResetFailedUnit" == fake.calls()[-1][0]


def test_a_change_of_the_watched_unit_ends_a_wait(installed: Session, manager: UserManager) -> None:
    manager.watch(UNIT)
    manager.start(UNIT)
    manager.wait_change(0.05)
    timer = threading.Timer(0.1, installed.signal_change)
    begun = time.monotonic()
    timer.start()

    assert manager.wait_change(HANGS)
    assert time.monotonic() - begun < PATIENCE
    assert not manager.wait_change(0.05)
    timer.join()


def test_another_thread_can_end_a_wait(manager: UserManager) -> None:
    timer = threading.Timer(0.1, manager.wake)
    begun = time.monotonic()
    timer.start()

    assert not manager.wait_change(HANGS), "nothing about the unit changed"
    assert time.monotonic() - begun < PATIENCE
    timer.join()


def test_wake_after_close_has_no_effect(fake: Session) -> None:
    with UserManager({}, fake.runtime, os.getuid()) as manager:
        pass

    manager.wake()


def test_a_reopened_connection_watches_the_unit(installed: Session, manager: UserManager) -> None:
    manager.watch(UNIT)
    manager.start(UNIT)
    manager.reopen(UNIT)

    assert manager.wait_change(HANGS), "what changed meanwhile is to be looked at"
    assert manager.unit(UNIT).running
    installed.signal_change()
    assert manager.wait_change(HANGS)


def test_the_loss_of_the_bus_ends_a_wait_at_once(own: Session) -> None:
    (own.units / UNIT).write_text(TEXT)
    with UserManager({}, own.runtime, os.getuid()) as manager:
        manager.watch(UNIT)
        timer = threading.Timer(0.1, own.kill_bus)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(BusError, match="the bus closed the connection"):
            manager.wait_change(HANGS)
        timer.join()

        assert time.monotonic() - begun < PATIENCE
        with pytest.raises(BusError):
            manager.reopen(UNIT)
        with pytest.raises(BusError):
            manager.unit(UNIT)


def test_a_second_watch_changes_nothing(installed: Session, manager: UserManager) -> None:
    manager.watch(UNIT)
    manager.watch(UNIT)
    installed.signal_change()

    assert manager.wait_change(HANGS)


def test_jobs_leave_no_state_on_the_connection(installed: Session, manager: UserManager) -> None:
    bus = manager._with.bus  # noqa: SLF001 (handlers are private)
    assert bus is not None
    for _ in range(5):
        manager.restart(UNIT)
        manager.stop(UNIT)

    # One handler for jobs, and one for the owner of systemd's name.
    assert 2 == len(bus._user_message_handlers)  # noqa: SLF001
    assert 0 == len(bus._method_return_handlers)  # noqa: SLF001
    assert ["StopUnit", UNIT, "replace"] == installed.calls()[-1]


def test_a_reexecution_ends_when_the_manager_is_back(
    installed: Session, manager: UserManager
) -> None:
    manager.watch(UNIT)
    manager.start(UNIT)
    for _ in range(2):
        manager.reexecute()

    assert manager.unit(UNIT).running
    manager.restart(UNIT)
    assert 2 == [call[0] for call in installed.calls()].count("Reexecute")


def test_a_refused_reexecution_is_reported_immediately(fake: Session, manager: UserManager) -> None:
    text = "Refusing to reexecute, not enough space available on /run/systemd."
    fake.order(errors={"Reexecute": ("org.freedesktop.DBus.Error.Failed", text)})

    with pytest.raises(SystemdError) as caught:
        manager.reexecute()

    assert f"cannot re-execute the user manager: {text[:-1]}" == caught.value.message


ASKED = {
    "LoadUnit": lambda manager: manager.unit(UNIT),
    "GetAll": lambda manager: manager.unit(UNIT),
    "Subscribe": lambda manager: manager.watch(UNIT),
    "Reload": lambda manager: manager.reload(),
    "EnableUnitFiles": lambda manager: manager.enable(UNIT),
    "ResetFailedUnit": lambda manager: manager.reset_failed(UNIT),
    "UnsetAndSetEnvironment": lambda manager: manager.change_environment((), {"A": "b"}),
    "StartUnit": lambda manager: manager.start(UNIT),
    "RestartUnit": lambda manager: manager.restart(UNIT),
    "StopUnit": lambda manager: manager.stop(UNIT),
}


@pytest.mark.parametrize("member", ASKED)
def test_a_call_is_repeated_after_a_reexecution(
    installed: Session, manager: UserManager, member: str
) -> None:
    manager.unit(UNIT)
    before = installed.calls()
    installed.order(leave_at=member)

    ASKED[member](manager)

    members = [call[0] for call in installed.calls()[len(before) :]]
    assert members.count(member) >= 2 or member == "GetAll", members
    assert manager.unit(UNIT).running == (member in {"StartUnit", "RestartUnit"})


def test_a_connection_opens_while_the_manager_re_executes(installed: Session) -> None:
    installed.order(leave_at="GetAll")

    with UserManager({}, installed.runtime, os.getuid()) as manager:
        assert "257.13-1~deb13u1" == manager.version


def test_a_call_that_must_not_be_repeated_is_not_repeated(
    installed: Session, manager: UserManager
) -> None:
    installed.order(leave_at="StartTransientUnit")

    with pytest.raises(SystemdError) as caught:
        manager.start_transient("once.service", {"Type": ("s", "exec")})

    assert "org.freedesktop.DBus.Error.NoReply" == caught.value.name
    assert not manager.unit(UNIT).running, "it is back"
    assert 1 == [call[0] for call in installed.calls()].count("StartTransientUnit")


def test_a_watch_continues_after_a_reexecution(installed: Session, manager: UserManager) -> None:
    """The fake loses its subscribers, as systemd may."""
    manager.watch(UNIT)
    with UserManager({}, installed.runtime, os.getuid()) as other:
        other.reexecute()
    assert manager.wait_change(HANGS), "that it came back is a change"
    assert not manager.wait_change(0.05)
    installed.signal_change()

    assert manager.wait_change(HANGS)


@pytest.mark.parametrize("end", ["done", "failed"])
def test_a_job_with_a_missed_end_has_the_result_of_its_unit(
    installed: Session, manager: UserManager, end: str
) -> None:
    installed.order(job_after=0.05, lose_job_removed=True, results={"StartUnit": end})
    with UserManager({}, installed.runtime, os.getuid()) as other:
        timer = threading.Timer(0.3, other.reexecute)
        timer.start()
        begun = time.monotonic()
        if end == "done":
            manager.start(UNIT)
        else:
            with pytest.raises(SystemdError, match="systemd's job ended with the result `failed`"):
                manager.start(UNIT)
        timer.join()

    assert time.monotonic() - begun < PATIENCE
    assert manager.unit(UNIT).running == (end == "done")


def test_the_loss_of_the_bus_during_a_job_is_reported_soon(own: Session) -> None:
    (own.units / UNIT).write_text(TEXT)
    own.order(job_after=-1)
    with UserManager({}, own.runtime, os.getuid()) as manager:
        timer = threading.Timer(0.1, own.kill_bus)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(BusError) as caught:
            manager.start(UNIT)
        timer.join()

        assert time.monotonic() - begun < PATIENCE
        assert f"cannot start `{UNIT}`: the bus closed the connection" == caught.value.message
        with pytest.raises(BusError, match="the connection to the bus is closed"):
            manager.unit(UNIT)
        with pytest.raises(BusError, match="the bus closed the connection"):
            manager.wait_change(0.01)


def test_a_manager_that_exits_during_a_call_is_an_error(own: Session) -> None:
    own.order(exit_at="LoadUnit")
    with (
        UserManager({}, own.runtime, os.getuid()) as manager,
        pytest.raises(SystemdError) as caught,
    ):
        manager.unit(UNIT)

    assert "org.freedesktop.DBus.Error.NoReply" == caught.value.name


def test_a_bus_without_systemd_is_reported(own: Session) -> None:
    own.kill_manager()

    with pytest.raises(BusError) as caught, UserManager({}, own.runtime, os.getuid()):
        pass

    assert caught.value.message.startswith(
        "cannot connect to the user manager: The name org.freedesktop.systemd1 was not provided"
    )


def test_the_users_own_bus_is_used_if_the_bus_of_the_environment_has_no_systemd(
    fake: Session, own: Session
) -> None:
    own.kill_manager()
    environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={own.runtime}/bus"}

    with UserManager(environ, fake.runtime, os.getuid()) as manager:
        assert "257.13-1~deb13u1" == manager.version


def test_an_unreachable_manager_is_reported_with_all_reasons(tmp_path: Path) -> None:
    environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/other"}

    with pytest.raises(BusError) as caught, UserManager(environ, tmp_path, os.getuid()):
        pass

    assert f"{tmp_path}/other: no such file or directory" in caught.value.message
    assert f"{tmp_path}/bus: no such file or directory" in caught.value.message
