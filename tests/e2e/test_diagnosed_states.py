"""Tests of `diagnose`, `status` and `up` for a K3s that starts, stops, or never becomes ready."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import mending
from tests.e2e.causes import CASES, STATE, order, wait
from tests.e2e.conftest import UNIT, Tool
from tests.machine import Machine

pytestmark = pytest.mark.lab
DAMAGED = next(case for case in CASES if case.id == "datastore-damaged")
SHOW = f"systemctl --user show {UNIT.name} -P"
RUNS = f"test $({SHOW} SubState) = running -a $({SHOW} NRestarts) -ge 1"


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[Tool]:
    """Yield a K3s that was ready once."""
    with mending.installed(lab) as tool:
        yield tool


@pytest.fixture
def ready(installed: Tool) -> Iterator[Tool]:
    """Start K3s with `restart`, and reset the orders afterwards."""
    order()(installed)
    installed("restart").check_returncode()
    yield installed
    order()(installed)


def kill(tool: Tool) -> None:
    """Kill K3s, and wait until systemd has started it again."""
    tool.machine.user("systemctl", "--user", "kill", "--signal=KILL", UNIT.name).check_returncode()
    assert wait(tool.machine, RUNS)


def test_a_damaged_datastore_is_named_by_up_status_and_diagnose_while_the_unit_is_active(
    ready: Tool,
) -> None:
    ready.machine.user("systemctl", "--user", "stop", UNIT.name)
    DAMAGED.breaks(ready)
    try:
        refused = ready.up("--timeout", "120s")
        seen, diagnosed = ready.json("status"), ready.json("diagnose")
    finally:
        ready.machine.user("systemctl", "--user", "stop", UNIT.name)
        DAMAGED.undo(ready)

    assert 4 == refused.returncode
    assert (
        "K3s runs, and cannot become ready: K3s cannot read its datastore: file is not a database"
        in refused.stderr
    )
    assert f"mv ~/{STATE.parent.relative_to('/home/alice')} " in refused.stderr
    assert ("active", "datastore-damaged") == (seen["unit"]["active_state"], seen["cause"]["id"])
    assert ("datastore-damaged", False) == (diagnosed["cause"]["id"], diagnosed["cause"]["earlier"])


def test_what_an_earlier_start_died_of_is_marked_while_the_next_one_starts(ready: Tool) -> None:
    ready.order(delay=60.0)
    kill(ready)

    told, seen = ready("diagnose"), ready("status")
    documents = ready.json("diagnose"), ready.json("status")

    assert 1 == told.returncode
    assert "earlier    an earlier start failed: K3s was killed with SIGKILL" in told.stdout
    assert "next start it is running, and waits for" in told.stdout
    assert "cause      " not in told.stdout
    assert "earlier      the previous start failed: K3s was killed" in seen.stdout
    assert [True, True] == [one["cause"]["earlier"] for one in documents]


def test_a_k3s_that_came_back_is_ready_and_its_death_is_told_as_past(ready: Tool) -> None:
    order(panic=300, panic_after=0.1)(ready)
    ready.machine.user("systemctl", "--user", "restart", UNIT.name).check_returncode()
    assert wait(
        ready.machine, f"test $(systemctl --user show -P SubState {UNIT.name}) = auto-restart"
    )
    order()(ready)
    assert wait(ready.machine, RUNS)
    ready.up().check_returncode()

    told, document = ready("diagnose"), ready.json("diagnose")

    assert 0 == told.returncode
    assert told.stdout.startswith(
        "nothing is wrong: K3s is ready\nearlier    the start before this one failed: K3s crashed:"
        " panic"
    )
    assert (
        "frame      k8s.io/kube-openapi/pkg/cached.(*Atomic[...]).Get (/go/pkg/mod/" in told.stdout
    )
    assert (None, "panic") == (document["cause"], document["earlier"]["id"])
    since = ready.json("diagnose", "--since", "-10min")
    assert ("panic", True, True) == (
        since["cause"]["id"],
        since["cause"]["earlier"],
        since["next_start_came_up"],
    )


def test_of_a_k3s_that_takes_long_to_stop_the_present_state_is_told_first(ready: Tool) -> None:
    order(stop_delay=30.0)(ready)
    ready("restart").check_returncode()
    ready.machine.user("systemctl", "--user", "stop", "--no-block", UNIT.name).check_returncode()
    try:
        assert wait(
            ready.machine,
            f"test $(systemctl --user show -P ActiveState {UNIT.name}) = deactivating",
        )
        told, document = ready("diagnose"), ready.json("diagnose")
    finally:
        ready.machine.user("systemctl", "--user", "kill", "--signal=KILL", UNIT.name)
        ready.machine.user("systemctl", "--user", "stop", UNIT.name)
        ready.machine.user("systemctl", "--user", "reset-failed", UNIT.name)

    assert 3 == told.returncode
    assert told.stdout.startswith("stopping   K3s is stopping since ")
    assert (None, "deactivating") == (document["cause"], document["unit"]["active_state"])
    assert "K3s is stopping" == document["errors"][0]["message"]
