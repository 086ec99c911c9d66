"""Tests of the kubeconfig: copies of it, kubectl, and a file that the user moved.

If the file was moved, K3s is ready as before, and every command reports that the file is missing.
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Tool
from tests.machine import HOME

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
KUBECONFIG = HOME / ".kube/k3s.yaml"
MOVED = HOME / ".kube/config"
TLS = HOME / ".rancher/k3s/server/tls"
OTHER = """\
apiVersion: v1
kind: Config
# clusters at work
clusters:
- cluster:
    server: https://work.example:6443
  name: work
contexts:
- context:
    cluster: work
    user: alice
  name: work
current-context: work
users:
- name: alice
  user: {}
"""
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


def test_a_copy_follows_the_cluster_until_it_is_uninstalled(lab_tool: Tool) -> None:
    tool = lab_tool
    tool.order(**QUICK)
    up = tool.up()
    assert f"export KUBECONFIG={KUBECONFIG} " in up.stdout
    assert ["", "export", "k3s-rootless", "k3s-rootless"] == [
        line.partition(" ")[0] for line in up.stdout.splitlines()[-4:]
    ]
    assert "export" not in tool.up().stdout
    assert "export" not in tool.up("--json").stdout

    tool.machine.user("tee", str(MOVED), stdin=OTHER).check_returncode()
    tool.machine.user("chmod", "600", str(MOVED)).check_returncode()
    assert 0 == tool("kubeconfig", "merge").returncode
    # The kubectl of the stand-in knows no contexts.
    alone = HOME / ".kube/alone"
    assert 0 == tool("kubeconfig", "merge", "--into", str(alone)).returncode
    nodes, env = ("kubectl", "get", "nodes"), {"KUBECONFIG": str(alone)}
    assert "lab\n" == tool.machine.user("k3s", *nodes, env=env).stdout

    # Another port needs new certificates.
    tool("config", "set", "https-listen-port", "7443").check_returncode()
    assert 0 == tool("restart").returncode
    assert "https://127.0.0.1:7443" in tool.machine.user("cat", str(MOVED)).stdout
    assert "lab\n" == tool.machine.user("k3s", *nodes, env=env).stdout
    assert [] == tool.json("status")["pending"]

    assert 0 == tool("uninstall", "--purge", "--yes").returncode
    assert OTHER == tool.machine.user("cat", str(MOVED)).stdout


def test_kubectl_of_k3s_finds_this_cluster(lab_tool: Tool) -> None:
    tool = lab_tool
    tool.order(**QUICK)
    failed = tool("kubectl", "get", "nodes")
    assert (125, "") == (failed.returncode, failed.stdout)
    tool.up().check_returncode()

    found = tool("kubectl", "get", "nodes", env={"KUBECONFIG": "/elsewhere", "PATH": "/nowhere"})
    assert (0, "") == (found.returncode, found.stderr)
    assert "lab\n" == found.stdout
    assert 0 != tool("kubectl", "get", "no-such-things").returncode
    assert "https://127.0.0.1:6443" == tool.json("kubeconfig", "show")["server"]
    named = tool("kubeconfig", "show", "--host", "localhost")
    assert "server: https://localhost:6443" in named.stdout
    missing = tool("kubeconfig", "show", "--host", "box.example")
    assert 1 == missing.returncode
    assert "k3s-rootless config set tls-san box.example" in missing.stderr
