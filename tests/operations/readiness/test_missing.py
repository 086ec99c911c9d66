"""Tests that the missing parts of a phase are judged from observations."""

from __future__ import annotations

import pytest

from k3s_rootless.cluster.facts import Deployment, Node, Readiness
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.readiness import missing
from k3s_rootless.rootlesskit.facts import Forward

API = Forward("tcp", "", 6443, 6443, "")
UP = Deployment("coredns", available=True)
DOWN = Deployment("traefik", available=False, reason="0 of 1 available")
READY = Node("a", ready=True, version="v1")
DOWN_NODE = Node("b", ready=False, version="v1", reason="no network")
SILENT = Node("c", ready=None, version="v1", reason="no report")


@pytest.mark.parametrize(
    ("forwards", "reached"),
    [
        ((), False),
        ((API,), True),
        ((Forward("tcp4", "", 6443, 6443, ""),), True),
        ((Forward("udp", "", 6443, 6443, ""),), False),
        ((Forward("tcp", "", 7443, 6443, ""),), False),
        ((Forward("tcp", "", 7443, 6443, ""), API), True),
    ],
)
def test_the_port_of_the_api_must_be_forwarded_by_tcp(
    forwards: tuple[Forward, ...], *, reached: bool
) -> None:
    reason = None if reached else "rootlesskit does not forward port 6443 yet"

    assert reason == missing.port(forwards, 6443)


def test_an_api_server_that_is_not_ready_names_its_failing_checks() -> None:
    assert missing.api(Readiness(ready=True)) is None
    assert "the API server is not ready: etcd, rbac" == missing.api(
        Readiness(ready=False, failing=("etcd", "rbac"))
    )


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((), "no node has registered yet"),
        ((READY,), None),
        ((DOWN_NODE, READY), None),
        (
            (DOWN_NODE, SILENT),
            "node b: no network; node c: no report",
        ),
    ],
)
def test_one_node_must_be_ready(nodes: tuple[Node, ...], expected: str | None) -> None:
    assert expected == missing.node(nodes)


@pytest.mark.parametrize(
    ("found", "packaged", "expected"),
    [
        ((), Known(frozenset[str]()), None),
        ((UP,), Known(frozenset({"coredns"})), None),
        ((UP,), Known(frozenset({"coredns", "traefik"})), "traefik: not created yet"),
        ((UP, DOWN), Known(frozenset({"coredns"})), "traefik: 0 of 1 available"),
        (
            (DOWN,),
            Known(frozenset({"coredns"})),
            "traefik: 0 of 1 available; coredns: not created yet",
        ),
        ((UP,), Unknown("no manifests"), None),
        (
            (),
            Unknown("no manifests"),
            "there is no Deployment yet, and the expected Deployments are not known: no manifests",
        ),
    ],
)
def test_all_packaged_deployments_must_be_available(
    found: tuple[Deployment, ...], packaged: Observed[frozenset[str]], expected: str | None
) -> None:
    assert expected == missing.deployments(found, packaged)
