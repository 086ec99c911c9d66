"""Tests of the queries about NetworkPolicies and Pods, to an API server over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cluster.policies import read
from k3s_rootless.cluster.policies.facts import Direction, Expression
from k3s_rootless.errors import PeerError
from tests.api_of_cluster import Cluster, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serving(Path(tmp_path_factory.mktemp("api")) / "tls") as found:
        yield found


@pytest.fixture
def api(served: Cluster) -> Cluster:
    for resource in ("pods", "networkpolicies"):
        for item in served.state.items(resource)[0]:
            names = item["metadata"]["namespace"], item["metadata"]["name"]
            served.state.delete(resource, *names)
    return served


def test_policies_are_read_with_their_selectors(api: Cluster) -> None:
    api.add_policy("web", {"app": "web"})
    selector = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a", "b"]}]}
    api.add_policy("both", podSelector=selector, policyTypes=["Ingress", "Egress"])
    api.add_policy("all", podSelector=None, policyTypes=None)
    limits = {"kube-router.io/netpol-nflog-limit": "5/second"}
    api.add_policy("limited", metadata={"annotations": limits})

    every, both, limited, web = read.policies(api.peer)

    assert (Expression("app", "In", frozenset({"web"})),) == web.requires
    assert (Expression("app", "NotIn", frozenset({"a", "b"})),) == both.requires
    assert frozenset(Direction) == both.directions
    assert ((), frozenset({Direction.INGRESS})) == (every.requires, every.directions)
    assert ("5/second", "") == (limited.limit, limited.burst)


def test_pods_with_an_address_of_their_own_are_read(api: Cluster) -> None:
    both = {"podIP": "10.42.0.8", "podIPs": [{"ip": "10.42.0.8"}, {"ip": "fd00::8"}]}
    api.add("web", metadata={"labels": {"app": "web"}}, status=both)
    api.add("node", status={"podIP": "10.41.0.100"}, spec={"hostNetwork": True})
    api.add("ended", status={"podIP": "10.42.0.9", "phase": "Succeeded"})
    api.add("pending")

    (found,) = read.pods(api.peer)

    assert ("default/web", {"app": "web"}) == (found.text, found.labels)
    assert ("10.42.0.8", "fd00::8") == found.addresses


@pytest.mark.parametrize(
    "item",
    [
        {"policyTypes": ["Sideways"]},
        {"policyTypes": 5},
        {"podSelector": {"matchLabels": ["app"]}},
        {"podSelector": {"matchExpressions": [{"key": "app"}]}},
    ],
)
def test_a_damaged_policy_is_an_error(api: Cluster, item: dict[str, Any]) -> None:
    api.add_policy("web", **item)

    with pytest.raises(PeerError, match="did not return a valid NetworkPolicy"):
        read.policies(api.peer)


@pytest.mark.parametrize(
    "changes", [{"status": {"podIPs": ["10.42.0.8"]}}, {"metadata": {"labels": 5}}]
)
def test_a_damaged_pod_is_an_error(api: Cluster, changes: dict[str, Any]) -> None:
    api.add("web", **{"status": {"podIP": "10.42.0.8"}, **changes})

    with pytest.raises(PeerError, match="did not return a valid Pod"):
        read.pods(api.peer)
