"""Tests of `status`, the real command, with a user manager that is slow, silent or gone.

The user manager is a fake on a real bus.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import rawbus
from tests.fakes.session import PROJECT, Session, as_user, session
from tests.lines import Lines, reading
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

USER = 65534 if os.getuid() == 0 else os.getuid()
NAME = "k3s-rootless.service"
RUNNING = {"ActiveState": ("s", "active"), "SubState": ("s", "running")}


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for path in (directory / "runtime", directory / "session"):
            path.mkdir(mode=0o700)
            os.chown(path, USER, USER)
        yield directory


@pytest.fixture
def bus(home: Path, dbus_daemon: None) -> Iterator[Session]:
    with session(home / "session", USER) as opened:
        (opened.units / NAME).write_text(
            "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"
        )
        yield opened


def popen(home: Path, runtime: Path, *args: str) -> subprocess.Popen[str]:
    environ = {
        "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
    }
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "status", *args]
    environ |= {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "default::ResourceWarning",
        "PYTHONUNBUFFERED": "1",
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=pipe, stderr=pipe, text=True)


def status(home: Path, runtime: Path, *args: str) -> tuple[int, Any, str]:
    """Return exit code, document and stderr of `status`.

    The test fails if the command hangs.
    """
    with popen(home, runtime, "--json", *args) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out), err


def test_a_silent_bus_affects_only_its_own_part(home: Path) -> None:
    with rawbus.on_socket(home / "runtime" / "bus", rawbus.silent):
        os.chown(home / "runtime" / "bus", USER, USER)
        code, found, err = status(home, home / "runtime")

    assert 1 == code
    assert ("unknown", None, None) == (found["state"], found["unit"], found["ready"])
    assert "the user manager" in found["errors"][0]["message"]
    assert "unit" in {one["part"] for one in found["unknown"]}
    assert found["lingers"] is False or found["lingers"] is None
    assert found["kubeconfig"]["path"].endswith("/.kube/k3s.yaml")
    assert err.startswith("error: cannot ")
    assert "\nhint: " in err


def test_a_silent_user_manager_affects_only_its_own_part(home: Path, bus: Session) -> None:
    bus.order(mute=["GetAll", "LoadUnit"])
    code, found, _ = status(home, bus.runtime)

    assert (1, "unknown") == (code, found["state"])
    assert "no answer within" in found["errors"][0]["message"]


def test_a_running_unit_without_a_k3s_is_not_ready(home: Path, bus: Session) -> None:
    bus.order(properties=RUNNING)
    code, found, _ = status(home, bus.runtime)

    assert (4, "running, not ready") == (code, found["state"])
    assert "child namespace and API socket" == found["missing"]["phase"]
    assert {"forwards", "kubeconfig", "API server", "node"} <= {
        one["part"] for one in found["unknown"]
    }
    assert "foreign" == found["drift"][0]["author"]


def test_the_cause_that_prevents_a_running_k3s_from_becoming_ready_is_shown(
    home: Path, bus: Session
) -> None:
    line = 'level=error msg="Failed to ping database connection: file is not a database"'
    (home / "bin").mkdir()
    journalctl, log = home / "bin/journalctl", home / "log"
    journalctl.write_text(f"#!/bin/sh\ncat {log}\n")
    journalctl.chmod(0o755)
    log.write_text(json.dumps({"MESSAGE": line}) + "\n")
    bus.order(properties=RUNNING | {"InvocationID": ("ay", "07" * 16)})
    code, found, _ = status(home, bus.runtime)

    assert (4, "datastore-damaged", False) == (
        code,
        found["cause"]["id"],
        found["cause"]["earlier"],
    )


def test_properties_that_an_old_systemd_lacks_are_null(home: Path, bus: Session) -> None:
    missing = [
        "MemoryCurrent",
        "CPUUsageNSec",
        "NRestarts",
        "InvocationID",
        "ExecMainStartTimestamp",
        "NeedDaemonReload",
    ]
    bus.order(properties=RUNNING, without=missing)
    code, found, _ = status(home, bus.runtime)

    assert 4 == code
    assert (None, None, 0) == (
        found["unit"]["memory_bytes"],
        found["unit"]["cpu_seconds"],
        found["unit"]["restarts"],
    )


def test_numbers_of_systemd_are_shown(home: Path, bus: Session) -> None:
    numbers = {
        "MemoryCurrent": ("t", 2**30),
        "MemoryPeak": ("t", 2**31),
        "MemoryMax": ("t", 2**32),
        "NRestarts": ("u", 3),
    }
    bus.order(
        properties=RUNNING
        | numbers
        | {"CPUUsageNSec": ("t", 1_500_000_000), "CPUQuotaPerSecUSec": ("t", 2_000_000)}
    )
    _, found, _ = status(home, bus.runtime)

    unit = found["unit"]
    assert (2**30, 2**31, 2**32) == tuple(
        unit[f"memory_{name}bytes"] for name in ("", "peak_", "limit_")
    )
    assert (1.5, 2.0) == (unit["cpu_seconds"], unit["cpu_limit"])
    assert (3, False) == (found["loop"]["restarts"], found["loop"]["over"])


@contextlib.contextmanager
def watching(
    home: Path, runtime: Path, *args: str
) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    with popen(home, runtime, "--watch", *args) as process, reading(process) as lines:
        yield process, lines


def size(process: subprocess.Popen[str]) -> tuple[int, int, int]:
    """Return resident memory in KiB, open files and threads."""
    proc = Path(f"/proc/{process.pid}")
    text = (proc / "status").read_text()
    (memory,) = (int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))
    return memory, len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))


def test_watch_does_not_grow_with_hundreds_of_changes(home: Path, bus: Session) -> None:
    with watching(home, bus.runtime) as (process, lines):
        lines.wait_for("K3s: not running")
        sizes = []
        for number in range(1, 121):
            bus.order(properties={"NRestarts": ("u", number)})
            bus.signal_change()
            lines.wait_for(f"restarts: {number}\n")
            if number in {40, 120}:
                # Threads of a finished turn may still be ending.
                time.sleep(0.5)
                sizes.append(size(process))

    (memory, files, threads), (later, more_files, more_threads) = sizes
    assert (files, threads) == (more_files, more_threads)
    assert later - memory < 1024, sizes


def test_watch_reports_a_lost_user_manager_and_reconnects(home: Path, bus: Session) -> None:
    with watching(home, bus.runtime) as (process, lines):
        lines.wait_for("K3s: not running")
        bus.kill_bus()
        lines.wait_for("K3s: unknown")
        (bus.runtime / "bus").unlink()
        bus.kill_manager()
        (bus.directory / "ready").unlink()
        bus.bus = bus._start_bus()  # noqa: SLF001 (the fake's own)
        bus.start_manager()
        lines.wait_for("K3s: not running")
        # A thread that connected may still be ending: more would be a leak, fewer are not.
        _, files, threads = size(process)
        for number in range(3):
            bus.order(properties={"NRestarts": ("u", number + 1)})
            bus.signal_change()
            lines.wait_for(f"restarts: {number + 1}\n")
        deadline = time.monotonic() + PATIENCE
        while size(process)[2] > threads and time.monotonic() < deadline:
            time.sleep(0.05)  # threads of the last turn may still be ending, too
        _, files_after, threads_after = size(process)
        assert files_after <= files
        assert threads_after <= threads
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
        assert process.stderr
        stderr = process.stderr.read()

    assert "lost the connection to the user manager: " in stderr
    assert "reconnected to the user manager" in stderr
    assert "Traceback" not in stderr


def test_watch_prints_a_json_line_for_each_change_only(home: Path, bus: Session) -> None:
    with watching(home, bus.runtime, "--json") as (_, lines):
        first = json.loads(lines.wait_for('"state": "not running"').text)
        bus.order(properties={"CPUUsageNSec": ("t", 5_000_000_000)})
        bus.signal_change()
        time.sleep(1.5)
        bus.order(properties=RUNNING)
        bus.signal_change()
        second = json.loads(lines.wait_for('"state":').text)

    assert {"k3s-rootless/status/v1"} == {first["schema"], second["schema"]}
    assert "running, not ready" == second["state"]
    assert first["time"] < second["time"]


def test_watch_reports_a_unit_that_is_removed_and_installed(home: Path, bus: Session) -> None:
    unit = bus.units / NAME
    with watching(home, bus.runtime) as (_, lines):
        lines.wait_for("K3s: not running")
        text = unit.read_text()
        unit.unlink()
        reload(bus)
        lines.wait_for("K3s: K3s is not installed for this user")
        unit.write_text(text)
        reload(bus)
        lines.wait_for("K3s: not running")


def test_watch_reads_log_lines_that_arrive_after_the_exit(home: Path, bus: Session) -> None:
    (home / "bin").mkdir()
    journalctl, log = home / "bin/journalctl", home / "log"
    journalctl.write_text(f"#!/bin/sh\ncat {log}\n")
    journalctl.chmod(0o755)
    log.write_text(json.dumps({"MESSAGE": "level=info msg=hello"}) + "\n")
    with watching(home, bus.runtime) as (_, lines):
        lines.wait_for("K3s: not running")
        bus.order(
            properties={
                "ActiveState": ("s", "failed"),
                "SubState": ("s", "failed"),
                "Result": ("s", "exit-code"),
                "InvocationID": ("ay", "07" * 16),
                "StateChangeTimestamp": ("t", int(time.time() * 1e6)),
            }
        )
        bus.signal_change()
        lines.wait_for("K3s: failed")
        log.write_text(
            json.dumps({"MESSAGE": 'level=fatal msg="failed to find cpuset cgroup (v2)"'}) + "\n"
        )
        lines.wait_for("cpuset")


def test_watch_ends_when_its_reader_exits(home: Path, bus: Session) -> None:
    with popen(home, bus.runtime, "--watch") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) in {0, 1}


def reload(bus: Session) -> None:
    """Make the manager reload its units."""
    address = f"unix:path={bus.runtime / 'bus'}"
    to = (
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "Reload",
    )
    subprocess.run(
        [*as_user(USER), "busctl", f"--address={address}", "call", *to],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    bus.signal_change()
