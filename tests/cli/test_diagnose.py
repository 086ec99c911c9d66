"""Tests of `diagnose`, the real command, with a fake user manager and a fake journal.

The present state is distinguished from past ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.session import PROJECT, Session, as_user, session

pytestmark = pytest.mark.thorough

USER = 65534 if os.getuid() == 0 else os.getuid()
NAME = "k3s-rootless.service"
OLD, NEW = "a" * 32, "b" * 32
KILLED = f"{NAME}: Main process exited, code=killed, status=9/KILL"
RESTART = f"{NAME}: Scheduled restart job, restart counter is at 1."
# The arguments of `journalctl` decide its output, as with the real one.
JOURNALCTL = """#!/bin/sh
case "$*" in
*MESSAGE_ID=5eb03494b6584870a536b337290809b3*) cat {place}/restarts;;
*MESSAGE_ID=*) cat {place}/starts;;
*_SYSTEMD_INVOCATION_ID={old}*) cat {place}/old;;
*_SYSTEMD_INVOCATION_ID={new}*) cat {place}/new;;
*) cat {place}/old {place}/new;;
esac
"""


class Host:
    """Bus with a fake user manager, and a journal."""

    def __init__(self, home: Path, bus: Session) -> None:
        self.home = home
        self._bus = bus
        (home / "bin").mkdir()
        program = home / "bin/journalctl"
        program.write_text(JOURNALCTL.format(place=home, old=OLD, new=NEW))
        program.chmod(0o755)
        # A host without any line would mean that it keeps no journal.
        for name, invocation in (("restarts", OLD), ("starts", NEW), ("old", OLD), ("new", NEW)):
            self.write(name, (f"Started {NAME}", 0.0), invocation=invocation)

    def write(self, name: str, *lines: tuple[str, float], invocation: str = OLD) -> None:
        """Write lines of the user manager about one start to the journal.

        Each line has its age in seconds.
        """
        entries = (
            {
                "MESSAGE": text,
                "SYSLOG_IDENTIFIER": "systemd",
                "USER_INVOCATION_ID": invocation,
                "USER_UNIT": NAME,
                "__REALTIME_TIMESTAMP": str(int((time.time() - age) * 1e6)),
            }
            for text, age in lines
        )
        (self.home / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))

    def is_(
        self, active: str, sub: str, *, started: float, restarts: int = 0, **more: tuple[str, Any]
    ) -> None:
        """Set the state of the unit that the user manager reports.

        `started` is the age of its process in seconds.
        """
        self._bus.order(
            properties={
                "ActiveState": ("s", active),
                "SubState": ("s", sub),
                "NRestarts": ("u", restarts),
                "InvocationID": ("ay", NEW),
                "ExecMainStartTimestamp": ("t", int((time.time() - started) * 1e6)),
                "StateChangeTimestamp": ("t", int((time.time() - started) * 1e6)),
                **more,
            }
        )

    def diagnose(self, *args: str) -> tuple[int, str]:
        """Return the exit code and the answer."""
        environ = {
            "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self._bus.runtime),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "diagnose", *args]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stdout, done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def host(dbus_daemon: None) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "session").mkdir(mode=0o700)
        os.chown(home / "session", USER, USER)
        with session(home / "session", USER) as bus:
            (bus.units / NAME).write_text(
                "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"
            )
            yield Host(home, bus)


def kill(host: Host, age: float) -> None:
    """Write an earlier start that was killed, with its age in seconds.

    systemd started K3s again after it.
    """
    host.write("old", (KILLED, age))
    host.write("restarts", (RESTART, age))


def test_a_recent_kill_is_shown_as_the_failure_of_an_earlier_start(host: Host) -> None:
    kill(host, 5)
    host.is_("active", "running", started=3, restarts=1)

    code, text = host.diagnose()

    assert 1 == code
    assert "earlier    an earlier start failed: K3s was killed with SIGKILL" in text
    assert "next start K3s is running and waits for " in text
    assert "memory" not in text.partition("why ")[0]


def test_an_old_kill_is_not_a_cause(host: Host) -> None:
    kill(host, 86_400)
    host.is_("active", "running", started=86_398, restarts=1)

    code, text = host.diagnose()

    assert 4 == code
    assert "K3s is running but not ready, and the journal does not show why" in text
    assert "killed" not in text


def test_a_unit_that_is_stopping_is_described_before_its_earlier_start(host: Host) -> None:
    kill(host, 12)
    host.is_("deactivating", "stop-sigterm", started=10, restarts=1)

    code, text = host.diagnose()

    assert 1 == code
    first, *rest = text.splitlines()
    assert first.startswith("stopping   K3s is stopping since ")
    assert "(stop-sigterm)" in first
    assert "next start K3s is stopping" in rest


def test_a_stopping_unit_without_a_failure_is_not_reported_as_failed(host: Host) -> None:
    host.is_("deactivating", "stop-sigterm", started=10)

    code, text = host.diagnose()

    assert 3 == code
    assert "failed" not in text


@pytest.mark.skipif(os.getuid() != 0, reason="only root can own a file that the user cannot write")
def test_the_limit_of_a_drop_in_outranks_the_log(host: Host) -> None:
    drop_in = host.home / "10-low.conf"
    drop_in.write_text("[Service]\nTasksMax=24\n")
    line = (
        'level=fatal msg="child died: executing [[ip link]]: fork/exec /usr/sbin/ip: resource'
        ' temporarily unavailable"'
    )
    host.write("new", (line, 1), invocation=NEW)
    # A line of K3s itself: the user manager's line would only quote the unit.
    of_k3s = (host.home / "new").read_text().replace('"systemd"', '"k3s"')
    (host.home / "new").write_text(of_k3s)
    tasks: dict[str, Any] = {
        "TasksMax": ("t", 24),
        "DropInPaths": ("as", [str(drop_in)]),
        "Result": ("s", "exit-code"),
    }
    host.is_(
        "failed", "failed", started=60, ExecMainCode=("i", 1), ExecMainStatus=("i", 1), **tasks
    )

    code, text = host.diagnose()

    assert 1 == code
    assert (
        "cause      the task limit of the K3s unit is too low: TasksMax=24 (unit-tasks-limit)"
        in text
    )
    assert f"observed   TasksMax=24 is set in {drop_in}" in text
    # Only an administrator can write this file.
    assert "sudo sed --in-place=.bak 's/^ *TasksMax *=.*/TasksMax=infinity/'" in text
