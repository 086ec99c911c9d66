"""Tests of `diagnose`, `status` and `up` for a K3s that starts, stops, or never becomes ready."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import fixing
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
    with fixing.installed(lab) as tool:
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


def test_up_status_and_diagnose_report_a_damaged_datastore_of_an_active_unit(
    ready: Tool,
) -> None:
    ready.machine.user("systemctl", "--user", "stop", UNIT.name)
    DAMAGED.breaks(ready)
    try:
        # Without the check, which refuses the start: K3s can find the damage also while it runs.
        refused = ready.up("--ignore", "storage.datastore", "--timeout", "120s")
        seen, diagnosed = ready.json("status"), ready.json("diagnose")
    finally:
        ready.machine.user("systemctl", "--user", "stop", UNIT.name)
        DAMAGED.undo(ready)

    assert 4 == refused.returncode
    assert (
        "K3s is running, but cannot become ready: K3s cannot read its datastore: file is not a"
        " database" in refused.stderr
    )
    assert f"mv {STATE.parent} " in refused.stderr
    assert ("active", "datastore-damaged") == (seen["unit"]["active_state"], seen["cause"]["id"])
    assert ("datastore-damaged", False) == (diagnosed["cause"]["id"], diagnosed["cause"]["earlier"])


def test_the_cause_of_an_earlier_start_is_marked_during_the_next_start(ready: Tool) -> None:
    ready.order(delay=60.0)
    kill(ready)

    diagnosed, seen = ready("diagnose"), ready("status")
    documents = ready.json("diagnose"), ready.json("status")

    assert 1 == diagnosed.returncode
    assert "earlier    an earlier start failed: K3s was killed with SIGKILL" in diagnosed.stdout
    assert "next start K3s is running and waits for" in diagnosed.stdout
    assert "cause      " not in diagnosed.stdout
    assert "earlier      the previous start failed: K3s was killed" in seen.stdout
    assert [True, True] == [one["cause"]["earlier"] for one in documents]


def test_a_ready_k3s_shows_the_failure_of_its_earlier_start(ready: Tool) -> None:
    order(panic=300, panic_after=0.1)(ready)
    ready.machine.user("systemctl", "--user", "restart", UNIT.name).check_returncode()
    assert wait(
        ready.machine, f"test $(systemctl --user show -P SubState {UNIT.name}) = auto-restart"
    )
    order()(ready)
    assert wait(ready.machine, RUNS)
    ready.up().check_returncode()

    diagnosed, document = ready("diagnose"), ready.json("diagnose")

    assert 0 == diagnosed.returncode
    assert diagnosed.stdout.startswith(
        "no problem found: K3s is ready\nearlier    the previous start failed: K3s crashed: panic"
    )
    assert (
        "frame      k8s.io/kube-openapi/pkg/cached.(*Atomic[...]).Get (/go/pkg/mod/"
        in diagnosed.stdout
    )
    assert (None, "panic") == (document["cause"], document["earlier"]["id"])
    since = ready.json("diagnose", "--since", "-10min")
    assert ("panic", True, True) == (
        since["cause"]["id"],
        since["cause"]["earlier"],
        since["next_start_ready"],
    )


def test_the_state_of_a_slow_stop_is_shown_first(ready: Tool) -> None:
    order(stop_delay=30.0)(ready)
    ready("restart").check_returncode()
    ready.machine.user("systemctl", "--user", "stop", "--no-block", UNIT.name).check_returncode()
    try:
        assert wait(
            ready.machine,
            f"test $(systemctl --user show -P ActiveState {UNIT.name}) = deactivating",
        )
        diagnosed, document = ready("diagnose"), ready.json("diagnose")
    finally:
        ready.machine.user("systemctl", "--user", "kill", "--signal=KILL", UNIT.name)
        ready.machine.user("systemctl", "--user", "stop", UNIT.name)
        ready.machine.user("systemctl", "--user", "reset-failed", UNIT.name)

    assert 3 == diagnosed.returncode
    assert diagnosed.stdout.startswith("stopping   K3s is stopping since ")
    assert (None, "deactivating") == (document["cause"], document["unit"]["active_state"])
    assert "K3s is stopping" == document["errors"][0]["message"]
