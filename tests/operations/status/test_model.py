"""Tests of the state of K3s that follows from a snapshot."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from k3s_rootless.cluster.facts import Node, Readiness
from k3s_rootless.errors import PreflightFailed
from k3s_rootless.observation import Known, Observed
from k3s_rootless.operations.status.model import Certificate, Loop, Missing, Snapshot
from k3s_rootless.rootlesskit.facts import Forward
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit.pending_changes import Part
from k3s_rootless.service.unit.seal import Author
from tests import server
from tests.operations.status import records
from tests.operations.status.records import (
    API,
    CAUSE,
    LOST,
    NODE,
    NOW,
    READY,
    SILENT,
    START,
    STATE,
    UNREADY,
    failed,
    kit,
    kubeconfig,
    snapshot_with,
    stopped,
)

OLD = kubeconfig(START - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("snapshot", "code", "word"),
    [
        (READY, 0, "ready"),
        (snapshot_with(kit=SILENT), 4, "running, not ready"),
        (snapshot_with(nodes=Known((UNREADY,))), 4, "running, not ready"),
        (stopped(), 3, "not running"),
        (stopped(state=records.STOPPING), 3, "not running"),
        (failed(), 1, "failed"),
        (failed(state=records.RESTARTING), 1, "failed"),
        (snapshot_with(state=None, problem=LOST), 1, "unknown"),
        (snapshot_with(state=None, problem=PreflightFailed("no session")), 5, "unknown"),
        (snapshot_with(state=None), 1, "unknown"),
        (snapshot_with(state=replace(STATE, sub_state="exited")), 3, "not running"),
    ],
)
def test_the_exit_code_and_the_state(snapshot: Snapshot, code: int, word: str) -> None:
    assert (code, word) == (snapshot.code, snapshot.overall_state)


@pytest.mark.parametrize(
    ("snapshot", "missing"),
    [
        (READY, None),
        (stopped(), None),
        (failed(), None),
        (snapshot_with(kit=SILENT), ("child namespace and API socket", SILENT.reason)),
        (
            snapshot_with(kit=kit()),
            ("port 6443 forwarded", "rootlesskit does not forward port 6443 yet"),
        ),
        (
            snapshot_with(kit=kit(Forward("udp", "", 6443, 6443, ""))),
            ("port 6443 forwarded", "rootlesskit does not forward port 6443 yet"),
        ),
        (snapshot_with(kit=kit(replace(API, proto="tcp4"))), None),
        (
            snapshot_with(settings=server.settings(port=7443)),
            ("port 7443 forwarded", "rootlesskit does not forward port 7443 yet"),
        ),
        (
            snapshot_with(kubeconfig=SILENT, ready=SILENT),
            ("kubeconfig of this start", SILENT.reason),
        ),
        (
            snapshot_with(kubeconfig=OLD, ready=SILENT),
            ("kubeconfig of this start", "/h/k3s.yaml is older than this start of K3s"),
        ),
        (snapshot_with(kubeconfig=OLD), None),
        (snapshot_with(kubeconfig=SILENT), None),
        (snapshot_with(ready=SILENT), ("API server ready", SILENT.reason)),
        (
            snapshot_with(ready=Known(Readiness(ready=False, failing=("etcd", "ping")))),
            ("API server ready", "the API server is not ready: etcd, ping"),
        ),
        (snapshot_with(nodes=SILENT), ("node ready", SILENT.reason)),
        (snapshot_with(nodes=Known(())), ("node ready", "no node has registered yet")),
        (snapshot_with(nodes=Known((UNREADY,))), ("node ready", "node host: no network")),
        (snapshot_with(nodes=Known((UNREADY, NODE))), None),
        (snapshot_with(state=None, problem=LOST), None),
        (snapshot_with(state=None, problem=LOST, nodes=SILENT), ("node ready", SILENT.reason)),
    ],
)
def test_the_first_missing_phase(snapshot: Snapshot, missing: tuple[str, str] | None) -> None:
    assert (missing and Missing(*missing)) == snapshot.missing


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (READY, False),
        (snapshot_with(kubeconfig=SILENT), True),
        (snapshot_with(kubeconfig=OLD), True),
        (snapshot_with(kubeconfig=SILENT, ready=SILENT), False),
        (snapshot_with(kubeconfig=OLD, ready=Known(Readiness(ready=False))), False),
    ],
)
def test_a_ready_k3s_does_not_need_its_kubeconfig(snapshot: Snapshot, *, expected: bool) -> None:
    assert expected == snapshot.ready_without_kubeconfig


@pytest.mark.parametrize(
    ("age", "state", "expected"),
    [
        (timedelta(seconds=-1), STATE, False),
        (timedelta(seconds=0.9), STATE, False),
        (timedelta(seconds=1.1), STATE, True),
        (timedelta(days=1), replace(STATE, started=None), False),
        (timedelta(days=1), None, False),
    ],
)
def test_a_kubeconfig_is_stale_if_it_is_older_than_the_start(
    age: timedelta, state: UnitState | None, *, expected: bool
) -> None:
    snapshot = snapshot_with(kubeconfig=kubeconfig(START - age), state=state)

    assert expected == snapshot.stale_kubeconfig


@pytest.mark.parametrize(
    ("nodes", "node", "ready"),
    [
        (SILENT, None, None),
        (Known(()), None, None),
        (Known((UNREADY,)), UNREADY, None),
        (Known((UNREADY, NODE)), NODE, NODE),
    ],
)
def test_the_node(nodes: Observed[tuple[Node, ...]], node: Node | None, ready: Node | None) -> None:
    snapshot = snapshot_with(nodes=nodes)

    assert (node, ready) == (snapshot.node, snapshot.ready_node)


def test_the_running_release_is_that_of_the_node() -> None:
    assert records.RELEASE == READY.running_release
    assert snapshot_with(nodes=Known((replace(NODE, version=""),))).running_release is None
    assert snapshot_with(nodes=SILENT).running_release is None


def restarted(restarts: int, **changes: object) -> Snapshot:
    return snapshot_with(state=replace(STATE, restarts=restarts), period=Known(70.0), **changes)


@pytest.mark.parametrize(
    ("snapshot", "loop"),
    [
        (READY, None),
        (restarted(1), None),
        (restarted(2), Loop(2, 70.0, over=True)),
        (restarted(2, time=START + timedelta(seconds=30)), Loop(2, 70.0, over=False)),
        (snapshot_with(state=replace(STATE, restarts=3), period=SILENT), Loop(3, None, over=True)),
        (snapshot_with(state=replace(records.FAILED, restarts=5)), Loop(5, None, over=True)),
        (snapshot_with(state=replace(records.RESTARTING, restarts=5)), Loop(5, None, over=False)),
        (snapshot_with(state=replace(STATE, restarts=5, started=None)), Loop(5, None, over=False)),
        (snapshot_with(state=None, problem=LOST, period=Known(70.0)), None),
    ],
)
def test_restarts_are_a_loop_until_k3s_has_run_long_enough(
    snapshot: Snapshot, loop: Loop | None
) -> None:
    assert loop == snapshot.loop


@pytest.mark.parametrize(
    ("snapshot", "named"),
    [
        (failed(), True),
        (snapshot_with(kit=SILENT, cause=Known(CAUSE)), True),
        (snapshot_with(cause=Known(CAUSE)), False),
        (stopped(cause=Known(CAUSE)), False),
        (failed(cause=SILENT), False),
        (failed(cause=Known(None)), False),
        (failed(cause=None), False),
    ],
)
def test_a_cause_is_shown_until_k3s_has_recovered(snapshot: Snapshot, *, named: bool) -> None:
    assert (CAUSE if named else None) == snapshot.failure_cause


def parts(snapshot: Snapshot) -> list[str]:
    return [name for name, _ in snapshot.unknown]


def test_unknown_parts_are_listed_with_their_reason() -> None:
    snapshot = snapshot_with(kit=SILENT, nodes=SILENT, lingers=SILENT)

    assert (
        ("lingering", SILENT.reason),
        ("forwards", SILENT.reason),
        ("node", SILENT.reason),
    ) == snapshot.unknown


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (READY, []),
        (stopped(), []),
        (stopped(kubeconfig=SILENT), []),
        (failed(cause=SILENT, period=SILENT), ["restarts", "cause"]),
        (snapshot_with(variables=SILENT), ["environment"]),
        (snapshot_with(state=None, problem=LOST, variables=SILENT), ["unit"]),
        (snapshot_with(files=SILENT), ["unit files"]),
        (snapshot_with(files=Known((Part(records.FRAGMENT, None, None, "no"),))), ["unit files"]),
        (
            snapshot_with(settings=replace(READY.settings, problems=("a", "b"))),
            ["settings", "settings"],
        ),
        (
            snapshot_with(
                state=None, problem=LOST, settings=replace(READY.settings, problems=("a",))
            ),
            ["unit"],
        ),
        (
            snapshot_with(certificates=(Certificate("server", SILENT),)),
            ["certificate of the server"],
        ),
        (snapshot_with(installed=SILENT, ready=SILENT), ["installed release", "API server"]),
    ],
)
def test_parts_of_a_stopped_k3s_are_not_unknown(snapshot: Snapshot, expected: list[str]) -> None:
    assert expected == parts(snapshot)


def test_files_of_other_authors_are_drift() -> None:
    foreign = Part(records.FRAGMENT, NOW, Author.FOREIGN)
    unread = Part(records.FRAGMENT, None, None, "no")

    assert ("`/u/k3s-rootless.service` was not written by k3s-rootless",) == snapshot_with(
        files=Known((foreign, unread, records.part()))
    ).drift
    assert () == snapshot_with(files=SILENT).drift


def test_without_an_agent_k3s_is_ready_with_its_api_server() -> None:
    settings = server.settings(flags=("--disable-agent",))
    found = snapshot_with(settings=settings, kit=SILENT, nodes=Known(()))

    assert (0, ()) == (found.code, found.unknown)
    failing = replace(found, ready=Known(Readiness(ready=False, failing=("etcd",))))
    assert Missing("API server ready", "the API server is not ready: etcd") == failing.missing
    older = replace(failing, kubeconfig=OLD)
    assert older.missing is not None
    assert "kubeconfig of this start" == older.missing.phase
