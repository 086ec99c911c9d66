"""Tests of the four states of delegation on a real host with pure cgroup v2.

Each state is distinguished from the others, and a user passes through all of them.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Tool
from tests.machine import UID, Machine
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm
REALIZES_AT_LOGIN = 257
"""Since this version, new controllers are realized at the next login.

systemd 252 gives them to the cgroup of a running user manager at the reload, 257 at the login.
"""
PROPERTIES = (
    "systemctl",
    "show",
    f"user@{UID}.service",
    "--property=DelegateControllers",
    "--value",
)


def cpuset(tool: Tool) -> tuple[int, dict[str, object]]:
    """Run `check` for cpuset only; return its exit code and the finding."""
    done = tool("check", "cgroup.delegation.cpuset", "--json")
    (finding,) = json.loads(done.stdout)["checks"]
    return done.returncode, finding


def realized(vm: Vm) -> set[str]:
    """Return the controllers in the cgroup of the user manager."""
    place = f"/sys/fs/cgroup/user.slice/user-{UID}.slice/user@{UID}.service/cgroup.controllers"
    return set(vm.user("cat", place).stdout.split())


def administer(machine: Machine, commands: list[str]) -> None:
    """Run the commands of a remedy as root, as an administrator would paste them."""
    for command in commands:
        machine.root("bash", "-euc", command.replace("sudo ", "")).check_returncode()


def test_the_four_states_are_distinguished_and_up_does_the_last_step(each_stock_vm: Vm) -> None:
    vm = each_stock_vm
    tool = Tool(vm)

    # Not configured: a stock Debian fails on cpuset, and only an administrator can fix it.
    refused = tool("up")
    code, finding = cpuset(tool)
    whole = tool.json("check")
    assert 6 == refused.returncode, refused.stderr
    assert tool.unit_text() is None
    assert (6, "fail", "not delegated") == (code, finding["verdict"], finding["observed"])
    assert ["cgroup.delegation.cpuset"] == [
        one["check"] for one in whole["checks"] if one["verdict"] == "fail"
    ]
    remedy = finding["remedy"]
    assert isinstance(remedy, dict)
    assert "administrator" == remedy["fixable_by"]

    # Configured: nothing has changed for the running manager, and the user must log in again.
    administer(vm, remedy["commands"])
    assert "cpuset" in vm.root(*PROPERTIES).stdout
    code, finding = cpuset(tool)
    at_once = "cpuset" in realized(vm)
    assert at_once == (vm.systemd < REALIZES_AT_LOGIN)
    observed = "realized, not effective" if at_once else "configured, not realized"
    assert (5, "fail", observed) == (code, finding["verdict"], finding["observed"])
    if not at_once:
        assert 5 == tool("up").returncode

    # Realized: the usual file lists cpuset, but units still do not get it.
    vm.login()
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= realized(vm)
    code, finding = cpuset(tool)
    assert (5, "fail", "realized, not effective") == (code, finding["verdict"], finding["observed"])

    # `up` announces the re-execution, carries it out, and K3s becomes ready.
    dry = tool("up", "--dry-run")
    assert dry.stdout.startswith("1. re-execute systemd --user")
    up = tool("up")
    assert 0 == up.returncode, up.stderr
    assert "re-execute systemd --user" in up.stderr
    code, finding = cpuset(tool)
    assert (0, "pass", "delegated") == (code, finding["verdict"], finding["observed"])
    assert 0 == tool("check").returncode

    again = tool("up")
    assert 0 == again.returncode, again.stderr
    assert "nothing to do: the unit is installed, enabled and running" in again.stderr
    down = tool("down")
    assert 0 == down.returncode, down.stderr
    assert 3 == tool("status").returncode
