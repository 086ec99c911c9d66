"""Tests of upgrades with the whole tool, a real systemd, and the stand-in in several releases."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.e2e.upgrading import OWN, QUICK, bring
from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import HOME, TOOL, Completed
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
OLD, NEW = "v1.34.9+k3s1", "v1.35.7+k3s1"
DIES, NEVER_READY, ANOTHER = "v1.35.8+k3s1", "v1.35.9+k3s1", "v1.35.10+k3s1"
SLOW = "v1.35.11+k3s1"
ORDERS: dict[str, dict[str, Any]] = {
    OLD: QUICK,
    NEW: QUICK,
    DIES: {
        **QUICK,
        "node_ready": False,
        "die": {"after": 0.3, "message": "failed to find cpuset cgroup (v2)"},
    },
    NEVER_READY: {**QUICK, "node_ready": False},
    ANOTHER: {**QUICK, "node_version": "v1.35.1+k3s1"},
    SLOW: {"delay": 2.5, "kubeconfig_delay": 2.5, "ready_delay": 2.5, "node_delay": 2.5},
}
DATABASE = HOME / ".rancher/k3s/server/db/state.db"
KEPT = f"{HOME}/kept"
LIMIT = "8s"
RECORD = OWN / "transaction.json"
GUARD = UNIT.with_name(f"{UNIT.name}.d") / "00-k3s-rootless-transaction.conf"
_STARTED = "import sqlite3, sys; print(*[name.rpartition('started-')[2] for name, in \
sqlite3.connect(sys.argv[1]).execute(\
\"SELECT name FROM kine WHERE name LIKE '%/started-%' ORDER BY id\")])"


@pytest.fixture(scope="module")
def releases(lab: Lab) -> Iterator[Tool]:
    """Yield the tool in a lab; six releases are kept for the tests."""
    if not lab.plays_k3s:
        pytest.skip("only the stand-in takes orders")
    fresh(lab)
    tool = Tool(lab)
    for release, orders in ORDERS.items():
        bring(tool, release, orders)
    lab.user("cp", "-a", str(OWN), KEPT).check_returncode()
    yield tool
    lab.root("rm", "-rf", str(OWN), KEPT, f"{HOME}/usb").check_returncode()


@pytest.fixture
def tool(releases: Tool) -> Iterator[Tool]:
    """Yield the tool; K3s runs with the release OLD."""
    fresh(releases.machine)
    releases.machine.user("rm", "-rf", str(OWN)).check_returncode()
    releases.machine.user("cp", "-a", KEPT, str(OWN)).check_returncode()
    releases("release", "use", OLD).check_returncode()
    releases.up().check_returncode()
    yield releases
    releases("upgrade", "--abort")
    releases("down")


def started(tool: Tool, database: str = str(DATABASE)) -> list[str]:
    """Return the releases that have started with a datastore."""
    return tool.machine.user("python3", "-c", _STARTED, database).stdout.split()


def upgrade(tool: Tool, release: str, *args: str) -> Completed:
    """Upgrade without a question."""
    return tool("upgrade", release, "--yes", "--timeout", LIMIT, *args)


def assert_runs(tool: Tool, release: str) -> None:
    """Fail unless K3s runs with a release, and nothing of a transaction is left."""
    status = tool.json("status")
    assert (True, release, []) == (status["ready"], status["release"], status["pending"])
    assert tool.machine.user("test", "-e", str(RECORD), "-o", "-e", str(GUARD)).returncode


def test_an_upgrade_and_a_rollback(tool: Tool) -> None:
    plan = tool("upgrade", NEW, "--dry-run")
    assert f"upgrade K3s from {OLD} to {NEW}" in plan.stdout
    assert "all pods stop; expected downtime: at least" in plan.stdout
    assert "datastore: the row with the last compaction" not in plan.stdout
    assert [OLD] == started(tool)

    done = upgrade(tool, NEW)

    assert 0 == done.returncode, done.stderr
    assert f"K3s {NEW} is ready; downtime: " in done.stdout
    assert_runs(tool, NEW)
    assert [OLD, NEW] == started(tool)

    again = upgrade(tool, NEW)
    assert f"nothing to do: K3s {NEW} is already in use" in again.stdout
    down = upgrade(tool, OLD)
    assert 1 == down.returncode
    assert f"k3s-rootless rollback {OLD}" in down.stderr

    back = tool("rollback", "--yes", "--timeout", LIMIT)

    assert 0 == back.returncode, back.stderr
    assert f"roll back K3s from {NEW} to {OLD}" in back.stderr
    assert f"K3s {OLD} is ready; downtime: " in back.stdout
    assert_runs(tool, OLD)
    assert [OLD] == started(tool)


def test_the_earlier_release_runs_again(tool: Tool) -> None:
    for release, why in (
        (DIES, "cgroup"),
        (NEVER_READY, "is not ready after"),
        (ANOTHER, "it reports K3s v1.35.1+k3s1, not v1.35.10+k3s1"),
    ):
        done = upgrade(tool, release, "--json")

        assert 1 == done.returncode
        (error,) = json.loads(done.stdout)["errors"]
        assert error["message"].startswith(f"cannot upgrade K3s from {OLD} to {release}: ")
        assert why in error["message"]
        assert f"K3s {OLD} runs again" in error["message"]
        assert error["rolled_back"]
        assert [OLD, release] == started(tool, f"{error['failed_datastore']}/state.db")
        assert_runs(tool, OLD)
        assert [OLD] == started(tool)
    history = tool.json("release", "list", "--history")["history"]
    assert [(DIES, False), (NEVER_READY, False), (ANOTHER, False)] == [
        (one["to"], one["done"]) for one in history
    ]


def killed_while_starting(tool: Tool) -> None:
    """Kill an upgrade while the new release starts."""
    with tool.machine.popen(TOOL, "upgrade", SLOW, "--yes") as running:
        deadline = time.monotonic() + PATIENCE
        while '"placed"' not in tool.machine.user("cat", str(RECORD)).stdout:
            assert running.poll() is None, running.stderr and running.stderr.read()
            assert time.monotonic() < deadline
        running.kill()


def test_up_continues_a_slow_upgrade_that_systemd_does_not_start(tool: Tool) -> None:
    killed_while_starting(tool)
    user = tool.machine.user
    refused = tool("restart")
    assert 1 == refused.returncode
    assert "upgrade --continue" in refused.stderr
    # As after a reset of the machine between the stop and the switch.
    user("systemctl", "--user", "stop", UNIT.name).check_returncode()
    user("sed", "-i", "s/placed/replacing/", str(RECORD)).check_returncode()
    guard = f"[Unit]\nConditionPathExists=!{RECORD}\n"
    user("mkdir", "-p", str(GUARD.parent)).check_returncode()
    user("tee", str(GUARD), stdin=guard).check_returncode()
    user("systemctl", "--user", "daemon-reload").check_returncode()
    user("systemctl", "--user", "start", UNIT.name)
    assert "inactive" == user("systemctl", "--user", "is-active", UNIT.name).stdout.strip()

    # The release takes ten seconds, which is more than the limit without progress.
    done = tool.up("--timeout", LIMIT)

    assert 0 == done.returncode, done.stderr
    assert f"an interrupted upgrade from K3s {OLD} to {SLOW} is continued" in done.stderr
    assert_runs(tool, SLOW)


def test_a_killed_upgrade_is_undone_on_request(tool: Tool) -> None:
    killed_while_starting(tool)

    done: subprocess.CompletedProcess[str] = tool("upgrade", "--abort")

    assert 0 == done.returncode, done.stderr
    assert f"K3s {OLD} is in use again" in done.stdout
    assert_runs(tool, OLD)
    assert [OLD] == started(tool)
