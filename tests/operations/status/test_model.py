"""Tests of the judgement of a look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from k3s_rootless.cluster.facts import Node, Readiness
from k3s_rootless.errors import PreflightFailed
from k3s_rootless.observation import Known, Observed
from k3s_rootless.operations.status.model import Certificate, Loop, Missing, Seen
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
    seen,
    stopped,
)

OLD = kubeconfig(START - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("look", "code", "word"),
    [
        (READY, 0, "ready"),
        (seen(kit=SILENT), 4, "running, not ready"),
        (seen(nodes=Known((UNREADY,))), 4, "running, not ready"),
        (stopped(), 3, "not running"),
        (stopped(state=records.STOPPING), 3, "not running"),
        (failed(), 1, "failed"),
        (failed(state=records.RESTARTING), 1, "failed"),
        (seen(state=None, problem=LOST), 1, "unknown"),
        (seen(state=None, problem=PreflightFailed("no session")), 5, "unknown"),
        (seen(state=None), 1, "unknown"),
        (seen(state=replace(STATE, sub_state="exited")), 3, "not running"),
    ],
)
def test_the_exit_code_and_the_word(look: Seen, code: int, word: str) -> None:
    assert (code, word) == (look.code, look.word)


@pytest.mark.parametrize(
    ("look", "missing"),
    [
        (READY, None),
        (stopped(), None),
        (failed(), None),
        (seen(kit=SILENT), ("child namespace and API socket", SILENT.reason)),
        (seen(kit=kit()), ("port 6443 forwarded", "rootlesskit does not forward port 6443 yet")),
        (
            seen(kit=kit(Forward("udp", "", 6443, 6443, ""))),
            ("port 6443 forwarded", "rootlesskit does not forward port 6443 yet"),
        ),
        (seen(kit=kit(replace(API, proto="tcp4"))), None),
        (
            seen(settings=server.settings(port=7443)),
            ("port 7443 forwarded", "rootlesskit does not forward port 7443 yet"),
        ),
        (
            seen(kubeconfig=SILENT, ready=SILENT),
            ("kubeconfig of this start", SILENT.reason),
        ),
        (
            seen(kubeconfig=OLD, ready=SILENT),
            ("kubeconfig of this start", "/h/k3s.yaml is older than this start of K3s"),
        ),
        (seen(kubeconfig=OLD), None),
        (seen(kubeconfig=SILENT), None),
        (seen(ready=SILENT), ("API server ready", SILENT.reason)),
        (
            seen(ready=Known(Readiness(ready=False, failing=("etcd", "ping")))),
            ("API server ready", "the API server is not ready: etcd, ping"),
        ),
        (seen(nodes=SILENT), ("node ready", SILENT.reason)),
        (seen(nodes=Known(())), ("node ready", "no node has registered yet")),
        (seen(nodes=Known((UNREADY,))), ("node ready", "node host: no network")),
        (seen(nodes=Known((UNREADY, NODE))), None),
        (seen(state=None, problem=LOST), None),
        (seen(state=None, problem=LOST, nodes=SILENT), ("node ready", SILENT.reason)),
    ],
)
def test_what_is_missing_first(look: Seen, missing: tuple[str, str] | None) -> None:
    assert (missing and Missing(*missing)) == look.missing


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (READY, False),
        (seen(kubeconfig=SILENT), True),
        (seen(kubeconfig=OLD), True),
        (seen(kubeconfig=SILENT, ready=SILENT), False),
        (seen(kubeconfig=OLD, ready=Known(Readiness(ready=False))), False),
    ],
)
def test_a_kubeconfig_may_be_moved_from_a_ready_k3s(look: Seen, *, expected: bool) -> None:
    assert expected == look.ready_without_kubeconfig


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
    look = seen(kubeconfig=kubeconfig(START - age), state=state)

    assert expected == look.stale_kubeconfig


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
    look = seen(nodes=nodes)

    assert (node, ready) == (look.node, look.ready_node)


def test_the_release_that_runs_is_that_of_the_node() -> None:
    assert records.RELEASE == READY.running_release
    assert seen(nodes=Known((replace(NODE, version=""),))).running_release is None
    assert seen(nodes=SILENT).running_release is None


def restarted(restarts: int, **changes: object) -> Seen:
    return seen(state=replace(STATE, restarts=restarts), period=Known(70.0), **changes)


@pytest.mark.parametrize(
    ("look", "loop"),
    [
        (READY, None),
        (restarted(1), None),
        (restarted(2), Loop(2, 70.0, over=True)),
        (restarted(2, time=START + timedelta(seconds=30)), Loop(2, 70.0, over=False)),
        (seen(state=replace(STATE, restarts=3), period=SILENT), Loop(3, None, over=True)),
        (seen(state=replace(records.FAILED, restarts=5)), Loop(5, None, over=True)),
        (seen(state=replace(records.RESTARTING, restarts=5)), Loop(5, None, over=False)),
        (seen(state=replace(STATE, restarts=5, started=None)), Loop(5, None, over=False)),
        (seen(state=None, problem=LOST, period=Known(70.0)), None),
    ],
)
def test_restarts_are_a_loop_until_k3s_has_lived_long(look: Seen, loop: Loop | None) -> None:
    assert loop == look.loop


@pytest.mark.parametrize(
    ("look", "named"),
    [
        (failed(), True),
        (seen(kit=SILENT, cause=Known(CAUSE)), True),
        (seen(cause=Known(CAUSE)), False),
        (stopped(cause=Known(CAUSE)), False),
        (failed(cause=SILENT), False),
        (failed(cause=Known(None)), False),
        (failed(cause=None), False),
    ],
)
def test_a_cause_counts_until_k3s_has_recovered(look: Seen, *, named: bool) -> None:
    assert (CAUSE if named else None) == look.died_of


def parts(look: Seen) -> list[str]:
    return [name for name, _ in look.unknown]


def test_what_is_not_known_is_named_with_its_reason() -> None:
    look = seen(kit=SILENT, nodes=SILENT, lingers=SILENT)

    assert (
        ("lingering", SILENT.reason),
        ("forwards", SILENT.reason),
        ("node", SILENT.reason),
    ) == look.unknown


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (READY, []),
        (stopped(), []),
        (stopped(kubeconfig=SILENT), []),
        (failed(cause=SILENT, period=SILENT), ["restarts", "cause"]),
        (seen(variables=SILENT), ["environment"]),
        (seen(state=None, problem=LOST, variables=SILENT), ["unit"]),
        (seen(files=SILENT), ["unit files"]),
        (seen(files=Known((Part(records.FRAGMENT, None, None, "no"),))), ["unit files"]),
        (seen(settings=replace(READY.settings, problems=("a", "b"))), ["settings", "settings"]),
        (
            seen(state=None, problem=LOST, settings=replace(READY.settings, problems=("a",))),
            ["unit"],
        ),
        (seen(certificates=(Certificate("server", SILENT),)), ["certificate of the server"]),
        (seen(installed=SILENT, ready=SILENT), ["installed release", "API server"]),
    ],
)
def test_a_stopped_k3s_lacks_nothing(look: Seen, expected: list[str]) -> None:
    assert expected == parts(look)


def test_files_of_others_are_drift() -> None:
    foreign = Part(records.FRAGMENT, NOW, Author.FOREIGN)
    unread = Part(records.FRAGMENT, None, None, "no")

    assert ("`/u/k3s-rootless.service` was not written by k3s-rootless",) == seen(
        files=Known((foreign, unread, records.part()))
    ).drift
    assert () == seen(files=SILENT).drift
