"""Tests of each condition with real peers.

These are files, rootlesskit's socket, and an API server over TLS.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.linux.inotify import Directories
from k3s_rootless.operations.readiness import conditions
from k3s_rootless.operations.readiness.phases import KEYS
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.operations.readiness.wait import Condition, first_missing
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from tests import server
from tests.cluster.conftest import Cluster
from tests.patience import HANGS
from tests.ports import peers

RUNNING = UnitState(UNIT, "loaded", "active", "running", invocation="one")
READYZ = "/readyz?verbose"
NODES = "/api/v1/nodes?limit=100"
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments?limit=500"
ROUTES = {
    "/v1/info": {"version": "2.0.0", "childPID": 7},
    "/v1/ports": [],
}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster.make()


def began(seconds_ago: float = 5.0) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds_ago)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    (tmp_path / "data" / "rootless").mkdir(parents=True)
    settings = server.settings(tmp_path / "data", tmp_path / "k3s.yaml")
    return Start(replace(RUNNING, started=began()), settings, None, os.getuid())


def of(start: Start, key: str) -> Condition:
    return conditions.of(start, "deployments")[KEYS.index(key)]


@pytest.fixture
def api(start: Start, cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Yield the routes of an API server that the kubeconfig of this start names."""
    routes: dict[str, Any] = {}
    with peers.over_tls(cluster.context(), peers.answering(routes)) as serving:
        port = serving.server_address[1]
        cluster.write(start.settings.kubeconfig, f"https://127.0.0.1:{port}")
        start.settings = server.settings(start.settings.data, start.settings.kubeconfig, port=port)
        yield routes


def node(*, ready: bool) -> dict[str, Any]:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = "True" if ready else "False"
    condition = {
        "type": "Ready",
        "status": status,
        "message": "cni plugin not initialized",
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }
    return {
        "metadata": {"name": "alice-host"},
        "status": {"conditions": [condition], "nodeInfo": {"kubeletVersion": "v1.33.4+k3s1"}},
    }


def listing(kind: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"kind": f"{kind}List", "metadata": {"resourceVersion": "7"}, "items": list(items)}


def test_a_stopped_unit_misses_the_first_phase(start: Start) -> None:
    start.state = replace(start.state, active_state="activating", sub_state="start")

    found = first_missing(conditions.of(start))

    assert found is not None
    assert ("unit", "the unit is activating") == (found[0].key, found[1])


def test_the_namespace_is_detected_by_the_file_of_this_start(start: Start) -> None:
    namespace = of(start, "namespace")
    before = namespace.missing()
    (start.settings.data / "rootless" / "child_pid").write_text("7")

    assert ("rootlesskit has not created its child namespace yet", None) == (
        before,
        namespace.missing(),
    )


def test_a_file_of_the_previous_start_does_not_count(start: Start) -> None:
    path = start.settings.data / "rootless" / "child_pid"
    path.write_text("7")
    old = (began(60)).timestamp()
    os.utime(path, (old, old))

    assert "rootlesskit has not created its child namespace yet" == of(start, "namespace").missing()


def test_the_socket_phase_is_reached_once_rootlesskit_answers(start: Start) -> None:
    condition = of(start, "socket")
    before = condition.missing()
    with peers.on_socket(start.settings.data / "rootless/api.sock", peers.answering(ROUTES)):
        after = condition.missing()

    assert str(before).startswith("cannot find rootlesskit's API socket: ")
    assert after is None


def test_the_port_is_missing_until_rootlesskit_forwards_it(start: Start) -> None:
    routes: dict[str, Any] = dict(ROUTES)
    condition = of(start, "port")
    with peers.on_socket(start.settings.data / "rootless/api.sock", peers.answering(routes)):
        before = condition.missing()
        spec = {"proto": "tcp", "parentPort": 6443, "childPort": 6443}
        routes["/v1/ports"] = [{"id": 1, "spec": spec}]
        after = condition.missing()

    assert ("rootlesskit does not forward port 6443 yet", None) == (before, after)


def test_rootlesskit_is_searched_again_after_a_refused_connection(start: Start) -> None:
    condition = of(start, "port")
    with peers.on_socket(start.settings.data / "rootless/api.sock", peers.answering(ROUTES)):
        condition.missing()
        assert start.rootlesskit is not None

    assert condition.missing() is not None
    assert start.rootlesskit is None


def test_the_kubeconfig_must_be_written_by_this_start(start: Start, api: dict[str, Any]) -> None:
    assert {} == api
    condition = of(start, "kubeconfig")
    after = condition.missing()
    start.state = replace(start.state, started=datetime.now(UTC) + timedelta(minutes=1))

    assert after is None
    assert condition.missing() is not None


def test_the_api_server_is_ready_if_it_reports_so(start: Start, api: dict[str, Any]) -> None:
    condition = of(start, "api")
    api[READYZ] = (500, b"[+]ping ok\n[-]etcd failed: reason withheld\n")
    before = condition.missing()
    api[READYZ] = b"ok"

    assert ("the API server is not ready: etcd", None) == (before, condition.missing())


def test_a_node_of_this_start_must_be_ready(start: Start, api: dict[str, Any]) -> None:
    condition = of(start, "node")
    results = []
    for items in ((), (node(ready=False),), (node(ready=True),)):
        api[NODES] = listing("Node", *items)
        results.append(condition.missing())

    assert "no node has registered yet" == results[0]
    assert "cni plugin not initialized" in str(results[1])
    assert results[2] is None


def test_the_deployments_of_all_manifests_are_awaited(start: Start, api: dict[str, Any]) -> None:
    manifests = start.settings.data / "server" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "coredns.yaml").touch()
    api[DEPLOYMENTS] = listing("Deployment")

    assert "coredns: not created yet" == of(start, "deployments").missing()


def test_a_missing_file_is_watched_after_the_first_check(start: Start) -> None:
    path = start.settings.data / "rootless" / "child_pid"
    with Directories() as notified:
        condition = conditions.of(start, "namespace", notified)[-1]
        before = condition.missing()
        writer = threading.Timer(0.1, path.write_text, ["7"])
        writer.start()
        begun = time.monotonic()
        assert condition.wait is not None
        condition.wait(HANGS)
        waited = time.monotonic() - begun
        writer.join()
        after = condition.missing()

    assert ("rootlesskit has not created its child namespace yet", None) == (before, after)
    assert waited < HANGS


def test_a_wait_without_a_watch_takes_its_time_limit(start: Start) -> None:
    condition = of(start, "node")
    assert condition.wait is not None
    begun = time.monotonic()

    assert not condition.wait(0.01)
    assert time.monotonic() - begun < HANGS
