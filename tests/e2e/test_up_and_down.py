"""Tests of what every user does, on each machine: up, up again, ports, down."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import USER


def test_up_twice_then_ports_and_down(tool: Tool) -> None:
    first = tool.up()

    assert 0 == first.returncode, first.stderr
    assert "K3s is ready" in first.stdout
    assert "node ready" in first.stderr

    second = tool.up()

    assert 0 == second.returncode, second.stderr
    assert "nothing to do: the unit is installed, enabled and running" in second.stderr

    answer = tool.machine.user(
        "curl",
        "-s",
        "--max-time",
        "20",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://localhost:10080/",
    )
    assert "404" == answer.stdout, "traefik answers for a host that it does not know"

    rows = {(row["parent_port"], row["child_port"]): row for row in tool.json("ports")["ports"]}
    assert "kube-system/traefik:80" == rows[10080, 80]["target"]
    assert 10000 == rows[10080, 80]["offset"]
    assert "pass" == rows[10080, 80]["verdict"]
    assert 0 == rows[6443, 6443]["offset"]
    assert "Kubernetes API" == rows[6443, 6443]["target"]

    assert 0 == tool("status").returncode
    assert tool.json("status")["ready"]

    down = tool("down")

    assert 0 == down.returncode, down.stderr
    assert 3 == tool("status").returncode
    assert 3 == tool("ports").returncode
    assert 0 == tool("down").returncode, "down twice is down"


@pytest.mark.lab
def test_down_says_when_k3s_starts_again(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    root = lab_tool.machine.root
    root("loginctl", "disable-linger", USER).check_returncode()
    at_login = lab_tool("down")
    root("loginctl", "enable-linger", USER).check_returncode()
    at_boot = lab_tool("down")
    disabled = lab_tool("down", "--disable")

    assert "K3s is stopped. It starts again at your next login.\n" == at_login.stdout
    assert (
        "K3s is stopped. It starts again at the next boot, because lingering is on.\n"
        == at_boot.stdout
    )
    assert "K3s is stopped.\n" == disabled.stdout


@pytest.mark.lab
def test_a_restart_is_a_new_start_that_becomes_ready(lab_tool: Tool) -> None:
    assert 3 == lab_tool("restart").returncode
    lab_tool.up().check_returncode()
    before = lab_tool.json("status")["unit"]["invocation"]

    again = lab_tool("restart")

    assert 0 == again.returncode, again.stderr
    assert before != lab_tool.json("status")["unit"]["invocation"]


@pytest.mark.lab
def test_a_stopped_and_disabled_k3s_can_be_restarted(any_tool: Tool) -> None:
    any_tool.up().check_returncode()
    any_tool("down", "--disable").check_returncode()

    again = any_tool("restart")

    assert 0 == again.returncode, again.stderr
    assert any_tool.json("status")["ready"]


@pytest.mark.lab
def test_a_dry_run_shows_the_plan_and_changes_nothing(lab_tool: Tool) -> None:
    dry = lab_tool.up("--dry-run")

    assert 0 == dry.returncode, dry.stderr
    assert [
        f"1. write {UNIT}: the unit file does not exist",
        "2. reload the user manager: the unit file changed",
        "3. enable k3s-rootless.service: it does not start with the user manager yet",
        "4. start k3s-rootless.service: it is not running",
    ] == dry.stdout.splitlines()
    assert lab_tool.unit_text() is None
    assert 3 == lab_tool("status").returncode


@pytest.mark.lab
def test_the_logs_are_those_of_this_start(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    lab_tool("down").check_returncode()
    lab_tool.up().check_returncode()

    logs = lab_tool("logs").stdout

    assert 1 == logs.count("Starting k3s") or 1 == logs.count("Started k3s-rootless.service"), logs


@pytest.mark.lab
def test_following_the_logs_continues_after_a_stop_of_k3s(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    with lab_tool.machine.popen("k3s-rootless", "logs", "-f", "-n", "1") as following:
        assert following.stdout
        assert following.stdout.readline()
        lab_tool("down").check_returncode()

        stopped = any("Stopped" in line for line in following.stdout)
        following.kill()

    assert stopped


@pytest.mark.lab
def test_versions_are_shown(lab_tool: Tool) -> None:
    versions = lab_tool.json("version")

    assert versions["k3s"].startswith("v1.")
    assert versions["systemd"]


@pytest.mark.lab
def test_a_stopped_k3s_is_not_reported_as_failed(lab_tool: Tool) -> None:
    """A real K3s exits with status 1 at SIGTERM."""
    lab_tool.order(stop_exit=1)
    lab_tool.up().check_returncode()

    lab_tool("down").check_returncode()

    assert "failed" not in lab_tool("status").stdout
    shown = lab_tool.machine.user("systemctl", "--user", "is-failed", "k3s-rootless.service")
    assert "inactive" == shown.stdout.strip()


@pytest.mark.lab
def test_a_stop_by_systemctl_is_not_a_failure(lab_tool: Tool) -> None:
    lab_tool.order(stop_exit=1)
    lab_tool.up().check_returncode()

    lab_tool.machine.user("systemctl", "--user", "stop", "k3s-rootless.service")
    found = lab_tool("diagnose")

    assert 3 == found.returncode, found.stdout
    assert "its last start did not fail" in found.stderr
