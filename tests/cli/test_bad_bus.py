"""Tests of every command if the user manager is not available, for many causes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless import schemas
from tests.cli.conftest import USER
from tests.fakes import rawbus
from tests.fakes.session import PROJECT, Session, as_user
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

COMMANDS = ("check", "up", "down", "status", "ports", "logs", "diagnose")


@dataclass(frozen=True)
class Ended:
    """Result of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def environment(home: Path, runtime: Path | None) -> dict[str, str]:
    given = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "EDITOR": "true",
    }
    given |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "default::ResourceWarning"}
    return given | ({"XDG_RUNTIME_DIR": str(runtime)} if runtime else {})


def start(
    environ: Mapping[str, str],
    *,
    uid: int = USER,
    as_json: bool = True,
    commands: Sequence[str] = COMMANDS,
) -> dict[str, subprocess.Popen[str]]:
    """Start the commands, all at once, since each may use its whole time limit."""
    running = {}
    for name in commands:
        arguments = [*name.split(), *(["--json"] if as_json and name != "logs" else [])]
        command = [*as_user(uid), sys.executable, "-m", "k3s_rootless", *arguments]
        running[name] = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    return running


def ends(running: Mapping[str, subprocess.Popen[str]]) -> dict[str, Ended]:
    """Wait until all commands have ended."""
    begun = time.monotonic()
    ended = {}
    with contextlib.ExitStack() as opened:
        for process in running.values():
            opened.enter_context(process)
            opened.callback(process.kill)
        for name, process in running.items():
            out, err = process.communicate(timeout=PATIENCE)
            ended[name] = Ended(process.returncode, out, err)
    assert time.monotonic() - begun < PATIENCE
    return ended


def run(
    environ: Mapping[str, str],
    *,
    uid: int = USER,
    as_json: bool = True,
    commands: Sequence[str] = COMMANDS,
) -> dict[str, Ended]:
    """Run the commands."""
    return ends(start(environ, uid=uid, as_json=as_json, commands=commands))


def require_quiet(end: Ended) -> None:
    """Assert that the user sees no output of Python itself."""
    for noise in (
        "Traceback",
        "was never retrieved",
        "Task was destroyed",
        "ResourceWarning",
        "WARNING:",
    ):
        assert noise not in end.err, end.err


def require_one_clear_error(ended: Mapping[str, Ended], reason: str, code: int = 1) -> None:
    """Assert that all commands but `check` fail for this reason.

    `check` and `status` report what they could read, and what they could not.
    """
    for name, end in ended.items():
        require_quiet(end)
        if name == "check":
            document = end.document
            assert "k3s-rootless/check/v2" == document["schema"]
            assert document["ready"] is False
            assert end.code == document["errors"][0]["exit_code"] != 0
            continue
        assert code == end.code, (name, end)
        assert end.err.startswith("error: "), (name, end.err)
        assert 1 == end.err.count("error: ")
        # `status` queries the user manager for less than a second; on a slow machine, the reason
        # takes longer.
        reasons = (reason, "no answer within") if name == "status" else (reason,)
        assert any(one in end.err for one in reasons), (name, end.err)
        assert "\nhint: " in end.err, (name, end.err)
        if name != "logs":
            assert schemas.name(name.replace(" ", "-")) == end.document["schema"]
            (error,) = end.document["errors"]
            assert any(one in error["message"] for one in reasons)
            assert error["hint"]
            assert code == error["exit_code"]


def files(home: Path) -> list[str]:
    return sorted(
        str(path.relative_to(home))
        for name in ("config", "runtime")
        for path in (home / name).rglob("*")
    )


def test_there_is_no_bus(home: Path) -> None:
    ended = run(environment(home, home / "runtime"))

    require_one_clear_error(
        ended,
        "cannot connect to the user manager: cannot reach the bus:"
        f" {home}/runtime/bus: no such file",
    )
    assert [] == files(home)


def test_commands_about_the_unit_report_the_same_error(home: Path) -> None:
    ended = run(
        environment(home, home / "runtime"),
        commands=("install", "unit show", "unit diff"),
    )

    require_one_clear_error(
        ended,
        "cannot connect to the user manager: cannot reach the bus:"
        f" {home}/runtime/bus: no such file",
    )
    assert [] == files(home)


def test_an_uninstall_without_a_bus_reports_its_failed_steps(home: Path) -> None:
    (end,) = run(environment(home, home / "runtime"), commands=("uninstall",)).values()

    require_quiet(end)
    assert (1, 1) == (end.code, end.err.count("error: "))
    assert (
        "error: cannot stop K3s (if it is running): cannot connect to the user manager" in end.err
    )
    assert "\nhint: " in end.err
    assert "cannot stop K3s" in end.document["errors"][0]["message"]


def test_without_json_stdout_stays_empty(home: Path) -> None:
    ended = run(environment(home, home / "runtime"), as_json=False, commands=("down", "up"))

    assert [(1, ""), (1, "")] == [(end.code, end.out) for end in ended.values()]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can listen as another user")
def test_the_bus_belongs_to_another_user(home: Path) -> None:
    with rawbus.on_socket(home / "runtime" / "bus", rawbus.silent):
        (home / "runtime" / "bus").chmod(0o777)
        ended = run(environment(home, home / "runtime"))

    require_one_clear_error(ended, "runtime/bus: the socket belongs to uid 0")


def test_the_bus_or_systemd_does_not_answer(home: Path, bus: Session) -> None:
    bus.order(mute=["GetAll"])
    code = (
        "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1]); s.listen();"
        " print(flush=True); time.sleep(60)"
    )
    command = [*as_user(USER), sys.executable, "-c", code, str(home / "runtime" / "bus")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        address = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/runtime/bus,guid=0123"}
        without_bus = start(environment(home, home / "runtime") | address)
        without_systemd = ends(start(environment(home, bus.runtime), commands=("check", "status")))
        ended = ends(without_bus)
        listener.kill()

    require_one_clear_error(ended, "no reply within 5 s")
    require_one_clear_error(
        without_systemd, "org.freedesktop.systemd1 did not reply to GetAll within 5 s"
    )
    assert ["runtime/bus"] == files(home)


@pytest.mark.parametrize(
    ("member", "commands"),
    [
        ("GetAll", ("status",)),
        ("LoadUnit", ("down", "status", "ports", "logs", "diagnose")),
        ("StartTransientUnit", ("check", "up")),
    ],
)
def test_the_manager_exits_during_a_call(
    home: Path, bus: Session, member: str, commands: Sequence[str]
) -> None:
    bus.order(exit_at=member)
    ended = run(environment(home, bus.runtime), commands=commands)

    for end in ended.values():
        require_quiet(end)
        assert end.code != 0
        assert end.document["errors"] if end.out else "error: " in end.err
    assert [] == files(home)


def test_the_bus_exits_during_a_call(home: Path, bus: Session) -> None:
    bus.order(mute=["LoadUnit", "StartTransientUnit"])
    killer = subprocess.Popen(["sh", "-c", f"sleep 5; kill -9 {bus.bus.pid}"])
    ended = run(
        environment(home, bus.runtime), commands=("check", "down", "ports", "logs", "diagnose")
    )
    killer.wait()

    require_one_clear_error(ended, "the bus closed the connection during LoadUnit")
    assert [] == files(home)


def test_an_interrupted_query_ends_quietly(home: Path, bus: Session) -> None:
    bus.order(mute=["LoadUnit"])
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "down"]
    environ = environment(home, bus.runtime)
    with subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while ["LoadUnit", "k3s-rootless.service"] not in bus.calls():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    assert (130, "", "interrupted") == (process.returncode, out, err.strip())


def test_an_interrupted_query_leaves_no_program_running(home: Path, bus: Session) -> None:
    bus.order(mute=["LoadUnit"])
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "ports"]
    environ = environment(home, bus.runtime)
    search = ["pgrep", "-f", f"^busctl --address=unix:path={bus.runtime}/bus"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while subprocess.run(search, stdout=subprocess.DEVNULL, check=False).returncode:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    assert ("", "interrupted") == (out, err.strip())
    assert 130 == process.returncode
    assert 1 == subprocess.run(search, check=False).returncode


def test_systemd_is_not_on_the_bus(home: Path, bus: Session) -> None:
    bus.kill_manager()
    ended = run(environment(home, bus.runtime))

    require_one_clear_error(
        ended,
        "cannot connect to the user manager: The name org.freedesktop.systemd1 was not provided",
    )
    assert [] == files(home)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_the_runtime_directory_belongs_to_another_user(home: Path) -> None:
    (home / "roots").mkdir()
    os.chown(home / "roots", 0, 0)
    ended = run(environment(home, home / "roots"))

    require_one_clear_error(
        ended, f"cannot use XDG_RUNTIME_DIR: {home}/roots belongs to uid 0, not to uid {USER}", 5
    )
    assert [] == list((home / "roots").iterdir())


def test_the_runtime_directory_is_missing(home: Path) -> None:
    ended = run(environment(home, home / "nowhere"))

    require_one_clear_error(
        ended, f"cannot find the user manager: {home}/nowhere does not exist", 5
    )
    assert not (home / "nowhere").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root is root")
def test_root_is_refused(home: Path) -> None:
    ended = run(environment(home, home / "runtime"), uid=0)
    check = ended.pop("check")

    assert (5, ["schema", "errors"]) == (check.code, list(check.document))
    assert check.document["errors"][0]["message"].startswith("cannot manage rootless K3s as root")
    require_one_clear_error(
        ended, "cannot manage rootless K3s as root: it runs as an ordinary user", 5
    )
    assert [] == files(home)


@pytest.mark.parametrize("name", ["up", "install"])
def test_probes_are_ended_if_there_is_no_user_manager(home: Path, name: str) -> None:
    """k3s is queried for its release before the bus is tried."""
    k3s = home / "config/k3s"
    k3s.write_text("#!/bin/sh\nexec sleep 617.25\n")
    k3s.chmod(0o755)
    environ = environment(home, home / "none")
    ended = run(environ | {"PATH": f"{k3s.parent}:{environ['PATH']}"}, commands=(name,))

    require_one_clear_error(ended, "cannot find the user manager", 5)
    deadline = time.monotonic() + PATIENCE  # a signal takes effect when its process is scheduled
    while any(b"617.25" in content(one) for one in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
