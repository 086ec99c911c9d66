"""Tests of NetworkPolicies in the namespaces of a real rootlesskit, with rules as those of K3s.

The stand-in has no controller for NetworkPolicies, so the tests add its rules.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.e2e import policies
from tests.e2e.conftest import Tool
from tests.e2e.policies import CLIENT, SERVER, logging, send
from tests.lab.fixtures import fresh
from tests.machine import HOME, Machine
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def running(lab: Machine) -> Iterator[Tool]:
    """Yield the tool with a running K3s, two Pods, and no rules yet."""
    if not policies.has_programs():
        pytest.skip("the packages iptables and ipset are not installed")
    fresh(lab)
    tool = Tool(lab)
    tool.order(version="v1.36.3+k3s1")
    tool.up().check_returncode()
    policies.add_pods(lab)
    yield tool
    tool("down")


def test_the_commands_in_the_order_of_a_user(running: Tool) -> None:
    """One test, because each step is the beginning of the next one."""
    without = running("policies", "status")
    assert (0, True) == (without.returncode, "no NetworkPolicies" in without.stdout)
    assert "controller  not running" in without.stdout

    policies.add_policy(running.machine)
    refused = running("policies", "status")
    assert 1 == refused.returncode
    assert "error: 1 NetworkPolicy is not enforced: the chain FORWARD" in refused.stderr

    with logging(running) as (_, seen):
        assert any("NetworkPolicies may have no effect" in line for line in seen.seen)

    policies.add_rules(running)
    status = running.json("policies", "status")
    assert (True, "running") == (status["enforced"], status["controller"]["state"])
    assert {"usable": True, "sets": 1, "reason": ""} == status["ipset"]
    assert [("deny", 1, "10/minute", "10")] == [
        (one["name"], one["pods"], one["limit"], one["burst"]) for one in status["policies"]
    ]
    assert {"group": 100, "names_policies": True} == status["log"]

    follow(running)
    append(running)


def follow(tool: Tool) -> None:
    """Follow the packets as text, and end the log by an interrupt."""
    with logging(tool) as (process, seen):
        assert 1 == (other := tool("policies", "log")).returncode
        assert "error: cannot read NFLOG group 100: another program reads it" in other.stderr
        send(tool)
        seen.wait_for(f"not allowed  udp  default/client {CLIENT}:")
        line = seen.wait_for(f"-> default/web {SERVER}:80").text
        assert "rejected     udp" in line
        assert line.endswith("policies: default/deny\n")
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)


def append(tool: Tool) -> None:
    """Append packets to a file, until K3s stops."""
    with logging(tool, "--json", "--output", "refused.log") as (process, seen):
        send(tool)
        wait_for_lines(tool, 2)
        tool("down").check_returncode()
        seen.wait_for("error: K3s stopped")
        assert 3 == process.wait(PATIENCE)
    found = tool.machine.user("cat", f"{HOME}/refused.log").stdout.splitlines()
    documents = [json.loads(line) for line in found]
    assert ["not allowed", "rejected"] == [one["verdict"] for one in documents]
    assert ["default/web"] * 2 == [one["destination"]["pod"] for one in documents]
    assert "600\n" == tool.machine.user("stat", "-c", "%a", f"{HOME}/refused.log").stdout


def wait_for_lines(tool: Tool, count: int) -> None:
    """Wait until the file has this number of lines."""
    script = f"until test $(wc -l <refused.log) -ge {count}; do sleep 0.1; done"
    tool.machine.user("sh", "-c", script).check_returncode()


def test_a_stopped_k3s_has_no_log(lab_tool: Tool) -> None:
    for command in ("status", "log"):
        done = lab_tool("policies", command)
        assert 3 == done.returncode
        assert f"error: cannot run `policies {command}`: K3s is not running" in done.stderr
