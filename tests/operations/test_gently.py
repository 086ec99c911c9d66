"""Tests of ending Pods before K3s stops, with the API of the stand-in over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.cluster import pods
from k3s_rootless.errors import PeerError
from k3s_rootless.operations import gently
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.paths import Paths
from k3s_rootless.rest import TlsPeer
from tests.api_of_cluster import Cluster, serving

NOTHING = Path("/nowhere")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with serving(tmp_path / "tls") as found:
        yield found


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def context(events: list[Event]) -> Context:
    paths = Paths(NOTHING, NOTHING, NOTHING, NOTHING)
    return Context(paths, {}, 1500, "alice", events.append)


def texts(events: list[Event]) -> list[str]:
    return [one.text for one in events if isinstance(one, Notice)]


def test_pods_end_while_no_new_one_can_start(
    running: Cluster, context: Context, events: list[Event]
) -> None:
    running.add("slow", after="0.6")
    running.add("quick")
    seen: list[pods.Schedule] = []

    def note(event: Event) -> None:
        seen.append(running.node)
        events.append(event)

    noted = Context(context.paths, {}, context.uid, context.user, note)

    gently.end_pods(noted, running.peer, 60.0)

    assert set() == running.left()
    assert (True, True) == (seen[0].cordoned, seen[0].marked)
    assert (False, False) == (running.node.cordoned, running.node.marked)
    assert "waiting at most 11 s for 2 Pods (default/quick, default/slow) to end" in texts(events)
    assert "all Pods have ended" == texts(events)[-1]


def test_pods_that_take_too_long_are_named(
    running: Cluster, context: Context, events: list[Event]
) -> None:
    running.add("slow", after="1000")

    gently.end_pods(context, running.peer, 0.5)

    assert "1 Pod (default/slow) did not end within 0.5 s; stopping K3s kills them" in texts(events)
    assert not running.node.cordoned


def test_only_pods_that_run_and_can_end_are_ended(
    running: Cluster, context: Context, events: list[Event]
) -> None:
    owner = {"ownerReferences": [{"kind": "DaemonSet", "name": "x"}]}
    running.add("of-daemon-set", metadata=owner)
    running.add("static", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
    running.add("ended", status={"phase": "Succeeded"})
    running.add("pending", spec={"nodeName": ""})

    gently.end_pods(context, running.peer, 60.0)

    assert {"of-daemon-set", "static", "ended", "pending"} == running.left()
    assert ["no Pods need time to end"] == texts(events)


def test_a_node_that_the_user_cordoned_stays_so(running: Cluster, context: Context) -> None:
    running.state.put("nodes", {"metadata": {"name": "node"}, "spec": {"unschedulable": True}})

    gently.end_pods(context, running.peer, 60.0)

    assert (True, False) == (running.node.cordoned, running.node.marked)


def test_a_node_that_a_killed_command_cordoned_is_released(
    running: Cluster, context: Context
) -> None:
    mark = {"annotations": {pods.CORDON_MARK: "true"}}
    node = {"metadata": {"name": "node", **mark}, "spec": {"unschedulable": True}}
    running.state.put("nodes", node)

    gently.end_pods(context, running.peer, 60.0)

    assert (False, False) == (running.node.cordoned, running.node.marked)


def test_an_interrupt_releases_the_node(running: Cluster, context: Context) -> None:
    running.add("slow", after="1000")

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    interrupted = Context(context.paths, {}, context.uid, context.user, interrupt)

    with pytest.raises(KeyboardInterrupt):
        gently.end_pods(interrupted, running.peer, 60.0)

    assert not running.node.cordoned


def test_a_pod_with_a_grace_period_of_zero_is_waited_for(
    running: Cluster, context: Context, events: list[Event]
) -> None:
    running.add("now", spec={"terminationGracePeriodSeconds": 0})

    gently.end_pods(context, running.peer, 60.0)

    assert texts(events)[0].startswith("waiting at most 10 s")


def test_an_api_server_that_does_not_answer_is_reported(running: Cluster) -> None:
    nowhere = TlsPeer("127.0.0.1", 1, running.peer.context)

    with pytest.raises(PeerError, match=r"cannot query https://127.0.0.1:1"):
        pods.running(nowhere)
