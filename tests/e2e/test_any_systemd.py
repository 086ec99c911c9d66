"""Tests of what users do, under each systemd that can be booted, from 247 to the newest."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.lab.orders import give_default_orders
from tests.machine import HOME, TOOL
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "50-test.conf"
SETTINGS = (
    ("snapshotter", "native"),
    ("node-label", "a=b", "example.com/x="),
    ("node-taint", "a=b:NoSchedule"),
    ("disable", "traefik", "metrics-server"),
    ("https-listen-port", "7443"),
    ("cluster-init", "true"),
    ("prefer-bundled-bin", "true"),
    ("selinux", "false"),
    ("data-dir", "~/100% é; # [Service]"),
    ("CPUQuota", "12.5%"),
    ("CPUWeight", "50"),
    ("MemoryMax", "4G"),
    ("MemoryHigh", "3G"),
)
VARIABLES = ("K3S_ROOTLESS_MTU=1400", "NO_PROXY=a \"b\" %h ${x} \\ 'c' ;#\n é")
FAILS_FOR_WARNINGS = 250
"""Since this systemd, `systemd-analyze verify` has an option to fail at warnings."""


def test_up_twice_then_status_and_down(any_tool: Tool) -> None:
    first = any_tool.up()
    assert 0 == first.returncode, first.stderr

    second = any_tool.up()
    status = any_tool.json("status")
    down = any_tool("down")

    assert 0 == second.returncode, second.stderr
    assert "nothing to do: the unit is installed, enabled and running" in second.stderr
    assert (True, "enabled", 0) == (
        status["ready"],
        status["unit"]["file_state"],
        status["unit"]["restarts"],
    )
    assert 0 == down.returncode, down.stderr
    assert 3 == any_tool("status").returncode


def test_unit_and_drop_ins_load_without_warnings(any_tool: Tool) -> None:
    for name, *values in SETTINGS:
        any_tool("config", "set", name, *values).check_returncode()
    any_tool("env", "set", *VARIABLES).check_returncode()
    any_tool("install").check_returncode()
    code, analyzed, logged = warnings(any_tool)
    shown = any_tool.machine.user(
        "systemctl", "--user", "show", "-p", "ExecStart,DropInPaths,CPUQuotaPerSecUSec", UNIT.name
    )

    any_tool.machine.user("mkdir", "-p", str(DROP_IN.parent)).check_returncode()
    any_tool.machine.user(
        "tee", str(DROP_IN), stdin="[Service]\nNoSuchSetting=1\n"
    ).check_returncode()
    any_tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()
    with_one = warnings(any_tool)

    assert (0, []) == (code, analyzed + logged)
    assert f"--data-dir={HOME}/100% é; # [Service]" in shown.stdout
    assert {"config", "environment"} <= set(
        re.findall(r"50-k3s-rootless-(\w+)\.conf", shown.stdout)
    )
    assert "CPUQuotaPerSecUSec=125ms" in shown.stdout
    assert with_one[1]
    assert with_one[2]
    assert with_one[0] != 0 or any_tool.machine.systemd < FAILS_FOR_WARNINGS


def warnings(tool: Tool) -> tuple[int, list[str], list[str]]:
    """Return the exit status of `systemd-analyze verify`, and warnings about our unit's files.

    The warnings are those of `systemd-analyze` and those of the manager.
    """
    strict = ["--recursive-errors=yes"] if tool.machine.systemd >= FAILS_FOR_WARNINGS else []
    verified = tool.machine.user("systemd-analyze", "--user", "verify", *strict, str(UNIT))
    tool.machine.root("journalctl", "--sync").check_returncode()
    journal = tool.machine.user(
        "journalctl", "--user", "--output=cat", "--identifier=systemd"
    ).stdout
    analyzed, logged = (
        [line for line in text.splitlines() if str(UNIT) in line]
        for text in (verified.stderr, journal)
    )
    return verified.returncode, analyzed, logged


def test_k3s_keeps_running_while_the_user_manager_is_re_executed(any_tool: Tool) -> None:
    any_tool.up().check_returncode()
    before = any_tool.json("status")["unit"]

    any_tool.machine.user("systemctl", "--user", "daemon-reexec").check_returncode()

    after = any_tool.json("status")
    assert (before["invocation"], 0, True) == (
        after["unit"]["invocation"],
        after["unit"]["restarts"],
        after["ready"],
    )
    again = any_tool.up()
    assert 0 == again.returncode, again.stderr
    assert "nothing to do" in again.stderr


def test_up_continues_while_the_user_manager_is_re_executed(any_tool: Tool) -> None:
    give_default_orders(any_tool.machine)  # slow enough to re-execute the manager meanwhile
    with any_tool.machine.popen(TOOL, "up", *any_tool.ignore) as up:
        assert up.stderr
        while not (line := up.stderr.readline()).startswith("start "):
            assert line, "up ended before it started K3s"
        any_tool.machine.user("systemctl", "--user", "daemon-reexec").check_returncode()
        out, err = up.communicate(timeout=PATIENCE)

    assert 0 == up.returncode, err
    assert "K3s is ready" in out


def test_a_restart_loop_is_reported_with_its_cause(any_tool: Tool) -> None:
    any_tool.order(die={"after": 0.2, "message": "no such thing", "level": "fatal"})

    died = any_tool.up()
    later = any_tool("status")
    any_tool.order()
    fixed = any_tool.up()

    assert 1 == died.returncode, died.stdout
    assert "no such thing" in died.stderr
    assert 1 == later.returncode, later.stdout
    assert 0 == fixed.returncode, fixed.stderr
