"""Tests of a kubeconfig that the user moved.

K3s is ready as before, and every command reports that the file is missing.
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Tool
from tests.machine import HOME

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
KUBECONFIG = HOME / ".kube/k3s.yaml"
MOVED = HOME / ".kube/config"
TLS = HOME / ".rancher/k3s/server/tls"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}


@pytest.fixture
def moved(lab_tool: Tool) -> Tool:
    """Return the tool next to a ready K3s with a renamed kubeconfig."""
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    lab_tool.machine.user("mv", str(KUBECONFIG), str(MOVED)).check_returncode()
    return lab_tool


def test_k3s_is_ready_without_the_kubeconfig_and_a_restart_writes_it(moved: Tool) -> None:
    found = moved.json("status")
    assert (True, "ready") == (found["ready"], found["state"])
    assert (None, str(KUBECONFIG)) == (found["kubeconfig"]["written"], found["kubeconfig"]["path"])

    shown = moved("status")
    assert 0 == shown.returncode
    line = f"kubeconfig   cannot read the kubeconfig {KUBECONFIG}: it does not exist; "
    assert line + "a restart writes it again: k3s-rootless restart" in shown.stdout

    again = moved.up("--timeout", "120")
    assert (0, "K3s is ready") == (again.returncode, again.stdout[:12])
    well = moved("diagnose")
    assert (0, "no problem found: K3s is ready\n") == (well.returncode, well.stdout)

    assert 0 == moved("restart").returncode
    assert moved.json("status")["kubeconfig"]["of_this_start"]


def test_without_kubeconfig_and_credentials_the_reason_names_both(moved: Tool) -> None:
    moved.machine.user("mv", str(TLS / "client-admin.key"), f"{TLS}/aside.key").check_returncode()

    late = moved.up("--timeout", "10")

    assert 4 == late.returncode
    assert f"cannot read the kubeconfig {KUBECONFIG}: it does not exist" in late.stderr
    assert f"K3s's own credential {TLS}/client-admin.key: it does not exist" in late.stderr
    assert "k3s-rootless restart" in late.stderr
