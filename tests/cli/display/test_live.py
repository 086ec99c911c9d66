"""Tests that a start is shown as lines in a pipe, and as events for a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch.events import (
    Died,
    PhaseReached,
    StartAhead,
    StepBegins,
    Waiting,
    WaitOver,
)
from k3s_rootless.operations.readiness import phases
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState

if TYPE_CHECKING:
    import pytest

FAILED = UnitState(UNIT, "loaded", "failed", "failed", result="exit-code", exit_status=1)
STOPPING = UnitState(UNIT, "loaded", "deactivating", "stop-sigterm")
EVENTS: tuple[Event, ...] = (
    StartAhead(),
    StepBegins(f"start {UNIT}", "it is not running"),
    Waiting((phases.UNIT, phases.NAMESPACE), lambda: None),
    PhaseReached(phases.UNIT, 0.25, 0.25),
    Died(phases.NAMESPACE, 16.2, FAILED),
    WaitOver(),
)


def hear(report: Report, *events: Event) -> None:
    for event in events:
        report.handle(event)


def test_in_a_pipe_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    hear(Report(), *EVENTS)

    assert [
        f"start {UNIT}: it is not running",
        "   0.2 s  unit active (0.2 s)",
        (
            "  16.2 s  it died while waiting for `child namespace`: the unit is failed (failed),"
            " its"
            " result `exit-code`; looking for the cause"
        ),
    ] == capsys.readouterr().err.splitlines()


def test_a_unit_that_was_stopped_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    hear(Report(), EVENTS[2], Died(phases.NAMESPACE, 1.0, STOPPING))

    assert "it ended while waiting for `child namespace`" in capsys.readouterr().err


def test_for_a_program_each_event_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.json_for = "up"
    hear(report, *EVENTS)

    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["notice", "phase", "exited"] == [one["event"] for one in found]
    assert f"start {UNIT}: it is not running" == found[0]["text"]
    assert ("unit", 0.25) == (found[1]["phase"], found[1]["seconds"])
    assert ("namespace", "exit-code", 1) == (
        found[2]["phase"],
        found[2]["result"],
        found[2]["exit_status"],
    )
    assert {"k3s-rootless/up-event/v2"} == {one["schema"] for one in found}
