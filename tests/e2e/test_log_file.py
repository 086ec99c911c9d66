"""Tests of a K3s that writes its log to a file: its state, its log, and the cause of a failure."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Tool
from tests.machine import HOME

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
FILE = HOME / ".rancher/k3s/logs/k3s.log"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}


def test_the_log_is_in_the_file_and_diagnose_reads_it(lab_tool: Tool) -> None:
    if lab_tool.machine.plays_k3s:
        lab_tool.order(**QUICK)
    done = lab_tool("config", "set", "log", "~/.rancher/k3s/logs/k3s.log")
    assert 0 == done.returncode, done.stderr
    assert "k3s-rootless logs --file" in done.stderr

    up = lab_tool.up()
    assert 0 == up.returncode, up.stderr
    found = lab_tool.json("status")
    assert (True, []) == (found["ready"], found["unknown"])
    assert 0 == lab_tool("ports").returncode

    journal = lab_tool("logs", "--grep", "Bound parent port")
    assert "" == journal.stdout
    assert f"K3s writes its log to {FILE}, and not to the journal" in lab_tool("logs").stderr
    assert "Bound parent port" in lab_tool("logs", "--file").stdout
    assert 2 == lab_tool("logs", "--file", "--previous").returncode

    lab_tool("config", "set", "alsologtostderr", "true").check_returncode()
    lab_tool("restart").check_returncode()
    assert "Bound parent port" in lab_tool("logs").stdout

    lab_tool("config", "unset", "alsologtostderr").check_returncode()
    lab_tool.order(**QUICK, die={"after": 0.2, "message": "failed to find memory cgroup (v2)"})
    failed = lab_tool("restart", "--timeout", "60")
    assert 1 == failed.returncode, failed.stderr
    diagnosed = lab_tool.json("diagnose")
    assert str(FILE) == diagnosed["source"]
    assert "failed to find memory cgroup" in diagnosed["cause"]["line"]
