"""Tests of registries.yaml with a real registry, inside the real namespaces of a lab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Tool
from tests.fakes.registry import PASSWORD
from tests.lab.fixtures import fresh
from tests.machine import HOME, TOOL, Machine

pytestmark = pytest.mark.lab
_FILE = HOME / ".rancher/k3s/etc/rancher/k3s/registries.yaml"


@pytest.fixture(scope="module")
def used(lab: Machine) -> Iterator[Tool]:
    """Yield the tool in a lab in which K3s runs and may reach the loopback of the host."""
    fresh(lab)
    tool = Tool(lab)
    tool("env", "set", "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false").check_returncode()
    tool.up().check_returncode()
    yield tool
    fresh(lab)


def test_nothing_is_configured(used: Tool) -> None:
    done = used("registries", "check")

    assert 0 == done.returncode
    assert f"no registries are configured: {_FILE} does not exist\n" == done.stdout


def test_a_registry_is_set_and_requested_from_inside(used: Tool) -> None:
    """Nothing listens on port 9 of any address; the name is that of K3s's namespace."""
    name = "registry.example:5000"
    set_ = f"printf '{PASSWORD}' | {TOOL} registries set {name} --username alice --password-stdin"
    used.machine.user("sh", "-c", set_).check_returncode()
    used("registries", "set", name, "--endpoint", "http://127.0.0.1:9").check_returncode()

    found = used.json("registries", "check", name)

    assert ["not reachable", "not reachable"] == [one["state"] for one in found["endpoints"]]
    assert "connection refused" == found["endpoints"][0]["detail"]
    assert "--endpoint http://10.41.0.2:9" in " ".join(found["endpoints"][0]["advice"])
    assert PASSWORD not in used.machine.user("ps", "-eo", "args").stdout
    assert PASSWORD not in used("registries", "show").stdout
    assert PASSWORD in used.machine.user("cat", str(_FILE)).stdout
    assert 1 == used("registries", "check").returncode
    assert "600\n" == used.machine.user("stat", "-c", "%a", str(_FILE)).stdout
    used("registries", "remove", name).check_returncode()


def test_without_k3s_only_the_file_is_checked(used: Tool) -> None:
    used("registries", "set", "a.example", "--endpoint", "https://b.example").check_returncode()
    used("down").check_returncode()

    done = used("registries", "check")

    assert 3 == done.returncode
    assert "K3s is not running, so no registry was requested" in done.stdout
    used("registries", "remove", "a.example").check_returncode()
