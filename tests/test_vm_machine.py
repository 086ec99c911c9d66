"""Tests of the virtual machine: what tests inside rely on, and what the host relies on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import payload
from tests.machine import UID, USER, Machine
from tests.patience import PATIENCE
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

STOCK = frozenset({"cpu", "memory", "pids"})
ALL = STOCK | {"cpuset", "io"}

LOOK = f"""
systemctl show --property DelegateControllers --value user@{UID}.service
cat /sys/fs/cgroup/user.slice/user-{UID}.slice/user@{UID}.service/cgroup.controllers
systemd-run --user --wait --pipe --quiet --property=Delegate=yes \
    sh -c 'cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cgroup.controllers'
"""


@dataclass(frozen=True)
class Delegation:
    """Controllers that are configured, in the user manager's cgroup, and in a delegated unit."""

    configured: frozenset[str]
    realized: frozenset[str]
    effective: frozenset[str]


def delegation(vm: Vm) -> Delegation:
    seen = vm.user("sh", "-c", LOOK)
    assert 0 == seen.returncode, seen.stderr
    configured, realized, effective = (frozenset(line.split()) for line in seen.stdout.splitlines())
    return Delegation(configured, realized, effective)


def processes(argument: str) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if argument in command:
            found.append(f"{place.name} {command}")
    return found


def wait_until_gone(argument: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := processes(argument):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_the_machine_has_cgroup_v2_only(vm: Vm) -> None:
    machine: Machine = vm
    assert ("vm", True) == (machine.name, machine.delegates)
    assert (
        "63677270\n"
        == machine.user("stat", "--file-system", "--format=%t", "/sys/fs/cgroup").stdout
    )
    assert ALL <= set(machine.user("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split())
    assert " cgroup " not in machine.user("cat", "/proc/self/mountinfo").stdout


def test_the_user_lingers_and_is_logged_in_once(vm: Vm) -> None:
    where = vm.user("cat", "/proc/self/cgroup").stdout
    assert where.startswith(f"0::/user.slice/user-{UID}.slice/session-")
    assert where == vm.user("cat", "/proc/self/cgroup").stdout
    assert vm.login("cat", "/proc/self/cgroup").stdout != where
    assert "yes\n" == vm.user("loginctl", "show-user", USER, "--property=Linger", "--value").stdout


def test_root_has_no_user_manager(vm: Vm) -> None:
    assert "inactive\n" == vm.root("systemctl", "is-active", "user@0.service").stdout


def test_the_user_can_switch_lingering(stock_vm: Vm) -> None:
    show = ("loginctl", "show-user", USER, "--property=Linger", "--value")
    assert 0 == stock_vm.user("loginctl", "disable-linger").returncode
    assert "no\n" == stock_vm.user(*show).stdout
    assert 0 == stock_vm.user("loginctl", "enable-linger").returncode
    assert "yes\n" == stock_vm.user(*show).stdout


def test_a_restored_machine_has_the_current_time(stock_vm: Vm) -> None:
    assert abs(float(stock_vm.root("date", "+%s.%N").stdout) - time.time()) < 5


def test_a_reboot_makes_delegation_effective(stock_vm: Vm) -> None:
    stock_vm.delegate("cpu", "cpuset", "io", "memory", "pids")
    stock_vm.reboot()
    assert Delegation(ALL, ALL, ALL) == delegation(stock_vm)
    stock_vm.restore()
    assert Delegation(STOCK, STOCK, STOCK) == delegation(stock_vm)


def test_signals_reach_the_program(vm: Vm) -> None:
    script = "trap 'echo interrupted; exit 130' INT; echo ready; while :; do sleep 0.1; done"
    with vm.popen("sh", "-c", script) as process:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "interrupted\n" == process.communicate(timeout=PATIENCE)[0]
        assert 130 == process.returncode


def test_a_killed_program_is_ended_on_the_machine(vm: Vm) -> None:
    with vm.popen("sleep", "54321") as process:
        process.kill()
        process.wait(timeout=PATIENCE)
    assert 1 == vm.root("pgrep", "--full", "sleep 5432[1]").returncode


def test_a_program_over_its_time_limit_is_ended_on_the_machine(vm: Vm) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        vm.user("sh", "-c", "sleep 65432; true", timeout=2)
    assert 1 == vm.root("pgrep", "--full", "sleep 6543[2]").returncode


def test_down_leaves_nothing_on_the_host() -> None:
    machine = Vm(payload.build())
    assert processes(str(machine.directory))
    machine.down()
    assert not processes(str(machine.directory))
    assert not machine.directory.exists()


def test_a_killed_driver_ends_the_machine() -> None:
    script = (
        "import time; from tests import payload; from tests.vm.machine import Vm; "
        "machine = Vm(payload.build()); print(machine.directory, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=payload.ROOT, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout
        directory = driver.stdout.readline().strip()
        assert processes(directory)
        driver.kill()
    wait_until_gone(directory)
    # The next machine removes what the killed driver left.
    Vm(payload.build()).down()
    assert not Path(directory).exists()
