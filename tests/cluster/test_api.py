from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cluster import api
from k3s_rootless.cluster.facts import Deployment, Listed, Node, Readiness
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.rest import UnixPeer
from tests.patience import PATIENCE
from tests.ports import peers

# The output of K3s v1.30.
NOT_READY = b"""[+]ping ok
[+]log ok
[-]etcd failed: reason withheld
[+]poststarthook/start-apiextensions-informers ok
[-]poststarthook/rbac/bootstrap-roles failed: reason withheld
readyz check failed
"""
FORBIDDEN = {"kind": "Status", "message": 'nodes is forbidden: User "x\x1b[0m"', "code": 403}


def readyz(tmp_path: Path, answer: Any) -> Any:
    with peers.on_socket(tmp_path / "api", peers.answering({api.READYZ: answer}, "text/plain")):
        return api.readyz(UnixPeer(tmp_path / "api"), 5)


def nodes(tmp_path: Path, answer: Any) -> Any:
    with peers.on_socket(tmp_path / "api", peers.answering({api.NODES: answer})):
        return api.node_ready(UnixPeer(tmp_path / "api"), 5)


def node(status: str, **more: str) -> dict[str, Any]:
    conditions = [
        {"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": status, **more},
    ]
    return {
        "metadata": {"name": "vmk3s"},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": "v1.21.2+k3s1"}},
    }


def test_a_ready_api_server_is_ready(tmp_path: Path) -> None:
    assert Known(Readiness(ready=True), api.READYZ) == readyz(
        tmp_path, b"[+]ping ok\nreadyz check passed\n"
    )


def test_an_api_server_that_is_not_ready_lists_its_failing_checks(tmp_path: Path) -> None:
    failing = ("etcd", "poststarthook/rbac/bootstrap-roles")

    assert readyz(tmp_path, (500, NOT_READY)) == Known(
        Readiness(ready=False, failing=failing), api.READYZ
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (401, {"message": "Unauthorized"}),
            "the API server refused the request: Unauthorized (HTTP status 401)",
        ),
        ((500, b"panic"), "the API server refused the request: panic (HTTP status 500)"),
        ((503, b""), "the API server refused the request: no reason given (HTTP status 503)"),
        ((404, [1]), "the API server refused the request: [1] (HTTP status 404)"),
    ],
)
def test_a_refused_request_is_unknown(tmp_path: Path, answer: Any, reason: str) -> None:
    assert readyz(tmp_path, answer) == Unknown(reason)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            node("True", reason="KubeletReady", message="ready"),
            Node("vmk3s", ready=True, version="v1.21.2+k3s1"),
        ),
        (
            node("False", message="network plugin is not ready"),
            Node(
                "vmk3s", ready=False, version="v1.21.2+k3s1", reason="network plugin is not ready"
            ),
        ),
        (
            node("Unknown", reason="NodeStatusUnknown"),
            Node("vmk3s", None, "v1.21.2+k3s1", "NodeStatusUnknown"),
        ),
        ({"metadata": {"name": "new"}}, Node("new", None, "", "no status was reported yet")),
        (
            {"metadata": {"name": "a\x1b"}, "status": {"conditions": None}},
            Node("a\ufffd", None, "", "no status was reported yet"),
        ),
    ],
    ids=["ready", "not ready", "lost", "new", "bare"],
)
def test_a_node_is_ready_by_its_condition(tmp_path: Path, item: Any, expected: Node) -> None:
    assert nodes(tmp_path, {"kind": "NodeList", "items": [item]}) == Known((expected,), api.NODES)


@pytest.mark.parametrize("items", [[], None])
def test_the_list_is_empty_before_the_first_node(tmp_path: Path, items: Any) -> None:
    assert Known((), api.NODES) == nodes(tmp_path, {"kind": "NodeList", "items": items})


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[" * 100_000,
        [],
        "x",
        {"kind": "PodList", "items": []},
        {"kind": "NodeList", "items": 5},
        {"kind": "NodeList", "items": [5]},
        {"kind": "NodeList", "items": [{"metadata": {"name": 5}}]},
        {
            "kind": "NodeList",
            "items": [{"metadata": {"name": "x"}, "status": {"conditions": [{}]}}],
        },
        {
            "kind": "NodeList",
            "items": [
                {
                    "metadata": {"name": "x"},
                    "status": {"conditions": [{"type": "Ready", "status": []}]},
                }
            ],
        },
    ],
)
def test_an_invalid_list_of_nodes_is_unknown(tmp_path: Path, answer: Any) -> None:
    assert Unknown("the API server did not return a list of nodes") == nodes(tmp_path, answer)


def test_a_refused_list_of_nodes_has_a_printable_reason(tmp_path: Path) -> None:
    reason = 'nodes is forbidden: User "x\ufffd[0m" (HTTP status 403)'

    expected = Unknown(f"the API server refused the request: {reason}")
    assert expected == nodes(tmp_path, (403, FORBIDDEN))


@pytest.mark.parametrize("behaviour", peers.HOSTILE)
def test_the_time_limit_holds_against_a_hostile_server(
    tmp_path: Path, behaviour: peers.Behaviour
) -> None:
    start = time.monotonic()

    with peers.on_socket(tmp_path / "api", behaviour):
        assert isinstance(api.readyz(UnixPeer(tmp_path / "api"), 1), Unknown)
        assert isinstance(api.node_ready(UnixPeer(tmp_path / "api"), 1), Unknown)

    assert time.monotonic() - start < PATIENCE


def test_an_unreachable_server_is_unknown(tmp_path: Path) -> None:
    assert isinstance(api.readyz(UnixPeer(tmp_path / "nothing"), 1), Unknown)


def test_the_module_loads_no_heavy_library() -> None:
    program = (
        "import sys; import k3s_rootless.cluster.api; print('pydantic' in sys.modules, 'yaml' in"
        " sys.modules)"
    )

    assert (
        "False False\n"
        == subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
    )


def deployment(name: str, status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "generation": generation}, "status": status}


def available(value: str, **more: Any) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "conditions": [{"type": "Progressing"}, {"type": "Available", "status": value, **more}],
    }


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (deployment("coredns", available("True")), Deployment("coredns", available=True)),
        (
            deployment("coredns", available("False", message="no minimum availability")),
            Deployment("coredns", available=False, reason="no minimum availability"),
        ),
        (
            deployment("coredns", {}),
            Deployment("coredns", available=False, reason="no status was reported yet"),
        ),
        (
            deployment("coredns", available("True", reason="OfAnOlderOne"), generation=2),
            Deployment("coredns", available=False, reason="OfAnOlderOne"),
        ),
    ],
)
def test_a_deployment_is_available_by_its_condition(
    tmp_path: Path, item: Any, expected: Deployment
) -> None:
    answer = {"kind": "DeploymentList", "metadata": {"resourceVersion": "77"}, "items": [item]}
    with peers.on_socket(tmp_path / "api", peers.answering({api.DEPLOYMENTS: answer})):
        found = api.deployments(UnixPeer(tmp_path / "api"), 5)

    assert found == Known(Listed((expected,), "77"), api.DEPLOYMENTS)


@pytest.mark.parametrize(
    "answer", [{"kind": "NodeList"}, {"kind": "DeploymentList", "items": [{}]}, [], b"no JSON"]
)
def test_an_invalid_list_of_deployments_is_unknown(tmp_path: Path, answer: Any) -> None:
    with peers.on_socket(tmp_path / "api", peers.answering({api.DEPLOYMENTS: answer})):
        found = api.deployments(UnixPeer(tmp_path / "api"), 5)

    assert Unknown("the API server did not return a list of deployments") == found


def test_a_watch_begins_after_the_list_and_ends_with_the_first_change(
    tmp_path: Path,
) -> None:
    path = "/api/v1/nodes?watch=1&resourceVersion=77&timeoutSeconds=5"
    with peers.on_socket(
        tmp_path / "api", peers.answering({path: b'{"type":"MODIFIED"}\n{"type":"MODIFIED"}\n'})
    ):
        assert api.wait_change(UnixPeer(tmp_path / "api"), api.NODES, "77", 5)


def test_a_watch_without_a_change_returns_false(tmp_path: Path) -> None:
    path = "/api/v1/nodes?watch=1&resourceVersion=77&timeoutSeconds=5"
    with peers.on_socket(tmp_path / "api", peers.answering({path: b""})):
        assert not api.wait_change(UnixPeer(tmp_path / "api"), api.NODES, "77", 5)
