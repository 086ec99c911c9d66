"""Tests of settings that K3s writes into files of its data directory.

A changed setting makes K3s exit, is refused, or is made to work.
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, K3S

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
QUICK = {
    "delay": 0.1,
    "ready_delay": 0.05,
    "node_delay": 0.05,
    "deployments_delay": 0.05,
    "refusal_delay": 0.3,
}
DATA = HOME / ".rancher/k3s"
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "50-mine.conf"
SERVER = f"{K3S} server --rootless --snapshotter=fuse-overlayfs"
ROTATE = f"{K3S} certificate rotate --data-dir {DATA}"


@pytest.fixture
def running(lab_tool: Tool) -> Tool:
    """Return the tool next to a K3s that is ready."""
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    return lab_tool


def put(tool: Tool, text: str) -> None:
    tool.machine.user("mkdir", "-p", str(DROP_IN.parent)).check_returncode()
    tool.machine.user("tee", str(DROP_IN), stdin=text).check_returncode()


def start(tool: Tool, *flags: str) -> None:
    """Write a drop-in that starts K3s with these flags, and reload systemd."""
    put(tool, f"[Service]\nRestart=no\nExecStart=\nExecStart={' '.join((SERVER, *flags))}\n")
    tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()


def finding(tool: Tool, check: str) -> tuple[str, str]:
    (found,) = tool.json("check", check)["checks"]
    return found["verdict"], f"{found['observed']} | {found['reason']}"


def ports(tool: Tool) -> set[int]:
    return {row["parent_port"] for row in tool.json("ports")["ports"]}


def kept(tool: Tool) -> list[str]:
    """Return the copies of certificates that rotations left."""
    return tool.machine.user("sh", "-c", f"ls -d {DATA}/server/tls-* 2>/dev/null").stdout.split()


def test_restart_renews_the_certificates_after_a_change_of_the_port(lab_tool: Tool) -> None:
    running = lab_tool
    # A file that changes in the same second as the start does not count as changed since.
    running.order(**QUICK | {"node_delay": 1.5})
    running.up().check_returncode()

    done = running("config", "set", "https-listen-port", "7443")

    assert 0 == done.returncode, done.stderr
    assert "the next restart renews K3s's certificates" in done.stderr
    assert [] == kept(running), "K3s runs, and breaks without its certificates"
    assert running.json("status")["ready"]
    verdict, reason = finding(running, "config.certificates")
    assert "fail" == verdict
    assert "contains port 6444, but K3s's internal port is now 7444" in reason

    again = running("restart")

    assert 0 == again.returncode, again.stderr
    assert (
        f"renew K3s's certificates: {ROTATE}: admin.kubeconfig contains port 6444" in again.stderr
    )
    assert {7443} < ports(running)
    assert 1 == len(kept(running))
    assert "pass" == finding(running, "config.certificates")[0]
    assert "renew" not in running("restart").stderr


def test_restart_reloads_a_changed_drop_in_before_it_reads_the_port(running: Tool) -> None:
    put(running, f"[Service]\nExecStart=\nExecStart={SERVER} --https-listen-port=7443\n")

    done = running("restart")

    assert 0 == done.returncode, done.stderr
    assert ROTATE in done.stderr
    assert {7443} < ports(running)


def test_config_set_renews_the_certificates_of_a_stopped_k3s_at_once(running: Tool) -> None:
    running("down").check_returncode()

    done = running("config", "set", "https-listen-port", "7443")

    assert ROTATE in done.stderr
    assert 1 == len(kept(running))
    assert "pass" == finding(running, "config.certificates")[0]
    up = running.up()
    assert 0 == up.returncode, up.stderr
    assert "renew" not in up.stderr
    assert {7443} < ports(running)


def test_a_port_changed_by_a_drop_in_is_reported_and_up_renews_the_certificates(
    running: Tool,
) -> None:
    running("down").check_returncode()
    start(running, "--https-listen-port=9443")

    # With Restart=no, the unit stays failed.
    running.machine.user("systemctl", "--user", "start", UNIT.name).check_returncode()
    failed = f"until systemctl --user is-failed -q {UNIT.name}; do sleep 0.1; done"
    running.machine.user("timeout", "120", "sh", "-c", failed).check_returncode()
    found = running.json("diagnose")

    assert "credentials-port" == found["cause"]["id"], found
    assert "config.certificates" == found["cause"]["check"]
    plan = running("up", *running.ignore, "--dry-run").stdout
    assert ROTATE in plan
    assert plan.index("certificate rotate") < plan.index(f"start {UNIT.name}")
    up = running.up()
    assert 0 == up.returncode, up.stderr
    assert {9443} < ports(running)


def test_a_moved_data_directory_works_after_a_renewal(running: Tool) -> None:
    running("down").check_returncode()
    moved = HOME / "moved"
    running.machine.user("mv", str(DATA), str(moved)).check_returncode()
    running("config", "set", "data-dir", str(moved)).check_returncode()

    assert "not in this data directory" in finding(running, "config.certificates")[1]
    up = running.up()

    assert 0 == up.returncode, up.stderr
    assert f"--data-dir {moved}" in up.stderr
    assert "pass" == finding(running, "config.certificates")[0]
    running("down").check_returncode()
    running.machine.root("rm", "-rf", str(moved))


def test_another_pod_network_is_refused(running: Tool) -> None:
    running("down").check_returncode()
    start(running, "--cluster-cidr=10.50.0.0/16")

    refused = running.up()

    assert 5 == refused.returncode, refused.stderr
    assert "cluster-cidr is 10.50.0.0/16" in refused.stderr
    running.up("--ignore", "config.networks", "--timeout", "30")
    assert "pod-network-changed" == running.json("diagnose")["cause"]["id"]
    running("down").check_returncode()
    running.machine.user("mv", str(DROP_IN), f"{DROP_IN}.off").check_returncode()
    assert 0 == running.up().returncode


def test_another_service_network_is_refused_and_another_node_name_is_a_warning(
    running: Tool,
) -> None:
    running("down").check_returncode()
    start(running, "--service-cidr=10.53.0.0/16", "--node-name=other")

    refused = running.up()

    assert 5 == refused.returncode, refused.stderr
    assert "pods lose their DNS" in refused.stderr
    assert "warn" == finding(running, "config.node")[0]
