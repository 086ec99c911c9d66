"""Machines for the end-to-end tests: the same tests run on each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import HOME, K3S, TOOL, Completed, Machine
from tests.vm.machine import Vm

DELEGATING = "delegating"
UNIT = HOME / ".config/systemd/user/k3s-rootless.service"
ORDERS = HOME / ".k3s-standin.json"
MACHINES = (pytest.param("lab", marks=pytest.mark.lab), pytest.param("vm", marks=pytest.mark.vm))


class Tool:
    """The tool on a machine, as its user runs it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ignore = () if machine.delegates else ("--ignore", "cgroup.delegation")

    def __call__(
        self, *args: str, timeout: float = 240, env: dict[str, str] | None = None
    ) -> Completed:
        """Run `k3s-rootless args`; fail the test at a traceback."""
        done = self.machine.user(TOOL, *args, timeout=timeout, env=env)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def up(self, *args: str) -> Completed:
        """Run `up`; if the host keeps the controllers on cgroup v1, ignore that check."""
        return self("up", *self.ignore, *args)

    def json(self, *args: str) -> Any:
        """Run a command with --json, and return its document."""
        return json.loads(self(*args, "--json").stdout)

    def order(self, **orders: object) -> None:
        """Give orders to the stand-in."""
        if not self.machine.plays_k3s:
            pytest.skip("only the stand-in takes orders")
        base = {} if self.machine.delegates else {"enforce_controllers": False}
        self.machine.user("tee", str(ORDERS), stdin=json.dumps(base | orders)).check_returncode()

    def unit_text(self) -> str | None:
        """Return the content of the unit file."""
        done = self.machine.user("cat", str(UNIT))
        return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="session")
def kept() -> set[str]:
    """Return the names of the saved states of the virtual machine."""
    return set()


@pytest.fixture
def delegating_vm(vm: Vm, kept: set[str]) -> Vm:
    """Return the virtual machine with delegation configured and effective."""
    return delegating(vm, kept)


def delegating(vm: Vm, kept: set[str]) -> Vm:
    """Restore the state with delegation configured and effective; create it at the first call."""
    if DELEGATING in kept:
        vm.restore(DELEGATING)
        return vm
    vm.restore()
    vm.delegate("cpu", "cpuset", "io", "memory", "pids")
    vm.login().check_returncode()
    vm.user("systemctl", "--user", "daemon-reexec").check_returncode()
    vm.save(DELEGATING)
    kept.add(DELEGATING)
    return vm


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    """Return each machine in turn after a reset, with all controllers delegated if possible."""
    found: Machine = request.getfixturevalue("delegating_vm" if request.param == "vm" else "lab")
    if request.param == "lab":
        fresh(found)
    return found


@pytest.fixture
def tool(machine: Machine) -> Tool:
    """Return the tool on each machine in turn."""
    return Tool(machine)


@pytest.fixture
def lab_tool(lab: Machine) -> Tool:
    """Return the tool in the lab."""
    fresh(lab)
    return Tool(lab)


@pytest.fixture
def any_tool(any_systemd: Lab) -> Tool:
    """Return the tool under each systemd in turn.

    The lab's stand-in starts as fast as possible.
    """
    fresh(any_systemd)
    tool = Tool(any_systemd)
    if any_systemd.plays_k3s:
        tool.order(delay=0.1, ready_delay=0.05, node_delay=0.05, deployments_delay=0.05)
    return tool


__all__ = ["K3S", "UNIT", "Tool"]
