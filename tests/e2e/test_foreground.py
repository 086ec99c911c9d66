"""Tests of K3s in the foreground under a real systemd: how it ends, and what stays behind."""

from __future__ import annotations

import os
import pty
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Tool
from tests.lab.driver import Lab
from tests.machine import RUNTIME_DIR

pytestmark = pytest.mark.lab
_UNITS = ("k3s-rootless-run.service", "k3s-rootless-run-watch.service")
_LOCK = RUNTIME_DIR / "k3s-rootless-run.lock"
_LINE = "Starting k3s"


class Foreground:
    """A `run` with pipes, the lines of which are read while it runs."""

    def __init__(self, tool: Tool, *arguments: str) -> None:
        words = ("k3s-rootless", "run", *_ignored(tool), *arguments)
        self.process = tool.machine.popen(*words)
        self.errors: list[str] = []
        self.answers: list[str] = []
        self.ready = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
            threading.Thread(target=self._read, args=(self.process.stdout, self.answers)),
        ]
        for one in self._readers:
            one.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            if line.startswith("K3s is ready"):
                self.ready.set()
        self.ready.set()

    def wait(self) -> int:
        with self.process:  # closes the pipes
            status = self.process.wait(120)
            for one in self._readers:
                one.join(120)
        assert "Traceback" not in self.text, self.text
        return status

    @property
    def text(self) -> str:
        return "".join(self.errors)


def _ignored(tool: Tool) -> tuple[str, ...]:
    return tuple(word for one in tool.ignore[1:] for word in ("--ignore", one))


@contextmanager
def foreground(tool: Tool, *arguments: str) -> Iterator[Foreground]:
    """Yield a `run` that is ready, and kill it at the end."""
    one = Foreground(tool, *arguments)
    try:
        assert one.ready.wait(120)
        assert one.process.poll() is None, one.text
        yield one
    finally:
        one.process.kill()
        one.wait()


def nothing_left(tool: Tool) -> None:
    """Wait until K3s has stopped, and check that nothing of it is left."""
    user = tool.machine.user
    shell = f"while systemctl --user -q is-active {' '.join(_UNITS)}; do sleep 0.05; done"
    user("timeout", "60", "sh", "-c", shell).check_returncode()
    listed = user("systemctl", "--user", "list-units", "--all", "--plain", "k3s-rootless*").stdout
    assert "k3s-rootless-run" not in listed
    assert 0 != user("test", "-e", str(_LOCK)).returncode
    assert 0 != user("pgrep", "-f", "server --rootless").returncode


def test_k3s_in_a_terminal_is_ready_and_other_commands_use_it(lab_tool: Tool) -> None:
    with foreground(lab_tool, "--", "--debug") as one:
        status = lab_tool.json("status")
        ports = lab_tool("ports")
        up = lab_tool.up()
        second = lab_tool("run")
        pods = lab_tool("kubectl", "get", "nodes")
        log = lab_tool("logs")
        text = lab_tool("status").stdout
        one.process.send_signal(signal.SIGINT)
        assert 130 == one.wait(), one.text

    assert (True, _UNITS[0]) == (status["ready"], status["unit"]["name"])
    assert [] == status["drift"]
    assert [] == status["pending"]
    assert "in the foreground (k3s-rootless run)" in text
    assert 0 == ports.returncode, ports.stderr
    assert "traefik" in ports.stdout
    assert 0 == pods.returncode, pods.stderr
    assert _LINE in log.stdout
    for refused in (up, second):
        assert 1 == refused.returncode
        assert "K3s runs in a terminal" in refused.stderr
    assert _LINE in one.text
    assert "node ready" in one.text
    assert "kubectl get pods -A" in "".join(one.answers)
    assert one.errors.index("stopping K3s\n") < one.errors.index("K3s is stopped\n")
    nothing_left(lab_tool)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_k3s_ends_with_the_process_however_it_ends(lab_tool: Tool, number: signal.Signals) -> None:
    with foreground(lab_tool) as one:
        one.process.send_signal(number)
        status = one.wait()

    assert status == (-9 if number == signal.SIGKILL else 130)
    nothing_left(lab_tool)


def test_a_closed_terminal_stops_k3s(lab_tool: Tool) -> None:
    assert isinstance(lab_tool.machine, Lab)
    outer, inner = pty.openpty()
    words = ("setsid", "--ctty", "--wait", "k3s-rootless", "run", *_ignored(lab_tool))
    process = lab_tool.machine.at_terminal(inner, *words)
    os.close(inner)
    seen = b""
    while b"K3s is ready" not in seen:
        seen += os.read(outer, 4096)
    os.close(outer)

    process.wait(120)
    nothing_left(lab_tool)


def test_down_stops_it_and_it_reports_that(lab_tool: Tool) -> None:
    with foreground(lab_tool) as one:
        lab_tool("down").check_returncode()
        assert 0 == one.wait(), one.text

    assert "K3s is stopped\n" == one.errors[-1]
    nothing_left(lab_tool)


def test_a_k3s_that_fails_is_diagnosed_with_its_last_line(lab_tool: Tool) -> None:
    message = "failed to find cpuset cgroup (v2)"
    lab_tool.order(die={"after": 0.2, "message": message, "level": "fatal"})

    done = lab_tool("run", *_ignored(lab_tool))

    assert 1 == done.returncode
    assert "K3s failed to start" in done.stderr
    assert "(cgroup." in done.stderr
    assert message in done.stderr.partition("error: ")[0]
    nothing_left(lab_tool)


def test_a_k3s_that_is_killed_later_is_reported(lab_tool: Tool) -> None:
    with foreground(lab_tool) as one:
        lab_tool.machine.user("systemctl", "--user", "kill", "-s", "KILL", _UNITS[0])
        assert 1 == one.wait(), one.text

    assert "error: K3s exited" in one.text
    nothing_left(lab_tool)


def test_it_is_refused_while_the_unit_runs_and_uses_its_settings(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    refused = lab_tool("run", *_ignored(lab_tool))
    lab_tool("down").check_returncode()
    lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400").check_returncode()
    with foreground(lab_tool) as one:
        shown = lab_tool.machine.user("systemctl", "--user", "show", _UNITS[0]).stdout
        one.process.send_signal(signal.SIGINT)
        one.wait()

    assert 1 == refused.returncode
    assert "`k3s-rootless.service` is active" in refused.stderr
    assert "K3S_ROOTLESS_MTU=1400" in shown
    assert "--snapshotter=fuse-overlayfs" in shown
    assert "Delegate=yes" in shown
    nothing_left(lab_tool)
