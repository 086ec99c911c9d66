"""Tests that K3s is stopped and started with its present configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.operations import restart
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import document
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.operations.readiness import phases
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.operations import unit


def test_a_running_k3s_is_restarted(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.start(UNIT)
        before = manager.unit(UNIT).invocation

    started = restart.restart(context, 20, "unit")

    with context.manager() as manager:
        assert before != manager.unit(UNIT).invocation
    assert f"restart {UNIT}" == unit.steps(events)[-1]
    assert [phases.UNIT] == [one.phase for one in started.reached or ()]
    found = document.of_restart(started)
    assert (False, ["unit"]) == (found["ready"], [one["phase"] for one in found["phases"]])
    assert ("unit active", True) == (started.last_phase, started.by_us)


def test_readiness_is_unknown_without_a_wait(context: Context, bus: Session, home: Path) -> None:
    unit.write(bus, home)

    started = restart.restart(context, None)

    assert (None, None, "") == (started.reached, started.ready, started.last_phase)
    assert [] == document.of_restart(started)["phases"]


def test_a_changed_unit_is_reloaded_first(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.start(UNIT)
    unit.write(bus, home, "--debug")

    restart.restart(context, None)

    assert StepBegins("reload the user manager", "the unit changed after systemd read it") == next(
        event for event in events if isinstance(event, StepBegins)
    )


def test_files_of_a_k3s_that_was_killed_are_removed(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    rootless = unit.write(bus, home) / "rootless"
    rootless.mkdir(parents=True)
    (rootless / "child_pid").write_text("7")

    restart.restart(context, None)

    assert f"remove child_pid from {rootless}" in unit.steps(events)
    assert not (rootless / "child_pid").exists()


def test_without_a_unit_there_is_nothing_to_restart(context: Context) -> None:
    with pytest.raises(NotRunning):
        restart.restart(context, None)
