"""Tests that K3s is stopped, and disabled on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.observation import Known
from k3s_rootless.operations import stop
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import document
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.operations import unit


def start(context: Context, bus: Session, home: Path) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.enable(UNIT)
        manager.start(UNIT)
        manager.reload()


def test_a_running_k3s_is_stopped_and_its_unit_stays_enabled(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    start(context, bus, home)

    stopped = stop.stop(context, disable=False)

    assert [f"stop {UNIT}"] == unit.steps(events)
    assert ("inactive", True) == (stopped.state.active_state, stopped.enabled)
    assert stopped.lingers == Known(
        value=False, source=str(context.paths.root / "var/lib/systemd/linger/alice")
    )
    assert document.of_stop(stopped) == {
        "changed": True,
        "active": "inactive",
        "enabled": True,
        "errors": [],
    }


def test_a_k3s_is_disabled_on_request(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    start(context, bus, home)

    stopped = stop.stop(context, disable=True)

    assert [f"stop {UNIT}", f"disable {UNIT}"] == sorted(unit.steps(events), reverse=True)
    assert not stopped.enabled


def test_a_stopped_k3s_needs_no_step(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)

    stopped = stop.stop(context, disable=False)

    assert ((), []) == (stopped.steps, events)
    assert not document.of_stop(stopped)["changed"]


def test_a_stop_that_systemd_reports_as_failed_is_reset(
    context: Context, bus: Session, home: Path
) -> None:
    start(context, bus, home)
    bus.order(properties={"ActiveState": ("s", "failed"), "SubState": ("s", "failed")})

    stop.stop(context, disable=False)

    assert ["ResetFailedUnit", UNIT] in bus.calls()


def test_without_a_unit_there_is_nothing_to_stop(context: Context) -> None:
    with pytest.raises(NotRunning) as absent:
        stop.stop(context, disable=False)

    assert "install and start it with: k3s-rootless up" == absent.value.hint
