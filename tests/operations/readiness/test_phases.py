"""Tests that the phases have one list of keys, in the order in which K3s reaches them."""

from __future__ import annotations

import pytest

from k3s_rootless.operations.readiness import phases


def test_each_key_has_its_phase_in_order() -> None:
    found = phases.up_to("deployments", 6443)

    assert phases.KEYS == tuple(phase.key for phase in found)
    assert len(phases.KEYS) == len({phase.name for phase in found})


@pytest.mark.parametrize(("key", "count"), [("unit", 1), ("port", 4), ("node", 7)])
def test_a_list_ends_with_the_phase_of_the_key(key: str, count: int) -> None:
    found = phases.up_to(key, 6443)

    assert (key, count) == (found[-1].key, len(found))


def test_the_name_of_the_port_phase_contains_the_port() -> None:
    assert "port 7443 forwarded" == phases.up_to("port", 7443)[-1].name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("unit", ["unit"]),
        ("namespace", ["unit"]),
        ("kubeconfig", ["unit", "kubeconfig"]),
        ("node", ["unit", "kubeconfig", "api"]),
        ("deployments", ["unit", "kubeconfig", "api"]),
    ],
)
def test_without_an_agent_the_api_server_is_last(key: str, expected: list[str]) -> None:
    found = phases.up_to(key, 6443, agentless=True)

    assert expected == [one.key for one in found]
    assert ("api" in expected) == found[-1].ready
