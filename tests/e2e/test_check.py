"""Tests of `check` on a real machine: a healthy one has no fault, and `check` changes nothing.

For faults, see test_faults.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.e2e.conftest import Tool
from tests.machine import HOME, RUNTIME_DIR, USER, Machine
from tests.patience import PATIENCE

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs/reference/schemas/check-v2.json").read_text("utf-8")
)
DATA = HOME / ".rancher/k3s"
PLACES = f"{HOME} {RUNTIME_DIR} /tmp /var/tmp /etc"
STATE = f"""
find {PLACES} ! -type d -printf '%p %y %m %s %T@ %U\\n' -o -printf '%p %y %m %U\\n' \
2>/dev/null | sort
echo mounts; cut -d' ' -f5- /proc/self/mountinfo
echo processes; ps -u {USER} -o pid=,args= | sort
echo cgroups; find /sys/fs/cgroup -type d | sort
echo modules; ls /sys/module; cat /proc/modules 2>/dev/null | cut -d' ' -f1
"""
UNITS = ("systemctl", "--user", "list-units", "--all", "--no-legend", "--plain", "--output=json")


def findings(tool: Tool, *ids: str) -> dict[str, Any]:
    """Run `check`, and return its findings by their ids; each document must match the schema."""
    document = json.loads(tool("check", *ids, "--json").stdout)
    Draft202012Validator(SCHEMA).validate(document)
    return {one["check"]: one for one in document["checks"]}


def administer(machine: Machine, script: str) -> None:
    """Run a script as root."""
    done = machine.root("bash", "-euc", script)
    assert 0 == done.returncode, (script, done.stderr)


def problems(found: dict[str, Any]) -> dict[str, str]:
    return {
        name: f"{one['verdict']}: {one['observed']}: {one['reason']}"
        for name, one in found.items()
        if bad(one)
    }


def bad(finding: dict[str, Any]) -> bool:
    return finding["verdict"] not in {"pass", "info"}


def test_nothing_is_wrong_with_a_healthy_machine(tool: Tool) -> None:
    wrong = problems(findings(tool))

    bound_elsewhere = {
        f"cgroup.delegation.{name}" for name in ("cpu", "cpuset", "io", "memory", "pids")
    }
    assert set(wrong) == (set() if tool.machine.delegates else bound_elsewhere), wrong


def state(machine: Machine) -> tuple[list[str], list[str]]:
    units = sorted(one["unit"] for one in json.loads(machine.user(*UNITS).stdout))
    return machine.root("sh", "-c", STATE).stdout.splitlines(), units


@pytest.mark.lab
@pytest.mark.parametrize("installed", [False, True], ids=["not installed", "installed"])
def test_check_changes_nothing(lab_tool: Tool, *, installed: bool) -> None:
    """Files, mounts, processes, cgroups, modules and units stay the same, with or without K3s."""
    if installed:
        lab_tool("install").check_returncode()
    lab_tool("check")
    before = state(lab_tool.machine)

    for arguments in ((), ("--json",), ("storage",), ("userns.create",), ("--admin-script",)):
        lab_tool("check", *arguments)

    time.sleep(0.3)  # systemd collects the transient unit when it has seen its end
    after = state(lab_tool.machine)
    assert [] == sorted(set(before[0]) ^ set(after[0]))
    assert before[1] == after[1]


@pytest.fixture
def listening(lab: Machine) -> Iterator[Any]:
    """Yield a function that listens as the user or as root, on one address family or both."""
    running = []

    def listen(port: int, *, who: str = USER, family: str = "AF_INET6") -> None:
        code = (
            f"import socket, time; s = socket.socket(socket.{family}); "
            # Connections of an earlier K3s of this lab may still be in TIME_WAIT.
            "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
            f"s.bind(('', {port})); s.listen(); print(flush=True); time.sleep(60)"
        )
        process = lab.popen("/usr/bin/python3", "-c", code) if who == USER else None
        if process is None:
            lab.root("sh", "-c", f'/usr/bin/python3 -c "{code}" >/dev/null 2>&1 & sleep 0.5')
            return
        assert process.stdout
        assert process.stdout.readline(), "it does not listen"
        running.append(process)

    yield listen
    for process in running:
        process.kill()
        process.communicate()
    lab.root("sh", "-c", "fuser -k 6443/tcp")


@pytest.mark.lab
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_process_on_a_port_is_named_for_both_address_families(
    lab_tool: Tool, listening: Any, family: str
) -> None:
    for port in (6443, 10080, 10443):
        listening(port, family=family)

    found = findings(lab_tool, "net.port")

    assert {"net.port.api": "fail", "net.port.http": "warn", "net.port.https": "warn"} == {
        name: one["verdict"] for name, one in found.items()
    }
    assert all(
        "python3 (PID " in one["observed"] and one["observed"].endswith(", user alice)")
        for one in found.values()
    )


@pytest.mark.lab
def test_of_a_port_of_another_user_only_the_user_is_named(lab_tool: Tool, listening: Any) -> None:
    listening(6443, who="root")

    assert (
        "6443 is in use by a program of root"
        == findings(lab_tool, "net.port.api")["net.port.api"]["observed"]
    )


@pytest.mark.lab
def test_a_running_k3s_is_not_a_port_conflict(lab_tool: Tool) -> None:
    """The ports, sockets and unit of K3s are no faults, and `up` reports `check` in one line."""
    first = lab_tool.up()
    assert 0 == first.returncode, first.stderr

    found = findings(lab_tool, *(name for name in ("net", "storage", "unit", "env", "config")))

    assert {} == problems(found)
    assert "6443 is in use by this K3s" == found["net.port.api"]["observed"]
    assert "active" == found["unit.state"]["observed"]
    lines = [line for line in lab_tool.up().stderr.splitlines() if "host checked" in line]
    assert 1 == len(lines)


HANGING = """
import ctypes, os, sys, time
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"dead", sys.argv[1].encode(), b"fuse.dead", 0, options) == 0, ctypes.get_errno()
print(flush=True)
time.sleep(60)
"""


@pytest.mark.lab
def test_if_a_file_system_hangs_only_its_own_facts_are_unknown(
    lab: Machine, lab_tool: Tool
) -> None:
    """As with a server that is gone: every call on the file system waits forever."""
    lab.user("mkdir", "-p", str(DATA))
    lab.root("sh", "-c", f"/usr/bin/python3 -c '{HANGING}' {DATA} >/tmp/hanging 2>&1 & sleep 0.5")
    try:
        begun = time.monotonic()
        done = lab_tool("check", "--json", timeout=PATIENCE)
        took = time.monotonic() - begun
    finally:
        lab.root("umount", "-fl", str(DATA))
        lab.root("sh", "-c", "fuser -k /dev/fuse")
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    unknown = {name for name, one in found.items() if one["verdict"] == "unknown"}
    assert took < PATIENCE, done.stderr
    assert {name for name in found if name.startswith("storage.")} <= unknown
    in_data = {
        "k3s.ipset",
        "config.token",
        "config.ca_keys",
        "config.certificates",
        "config.expiry",
        "config.networks",
        "config.node",
    }
    assert unknown <= {
        *(name for name in found if name.startswith("storage.")),
        "snapshotter.overlayfs",
        *in_data,
    }
    assert "no answer within the time limit" in found["storage.space"]["reason"]
