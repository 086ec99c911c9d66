"""Tests that a start is shown as lines in a pipe, and as events for a program."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

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

FAILED = UnitState(
    UNIT, "loaded", "failed", "failed", result="exit-code", exit_code=1, exit_status=1
)
STOPPING = UnitState(UNIT, "loaded", "deactivating", "stop-sigterm")
EVENTS: tuple[Event, ...] = (
    StartAhead(),
    StepBegins(f"start {UNIT}", "it is not running"),
    Waiting((phases.UNIT, phases.NAMESPACE), lambda: None),
    PhaseReached(phases.UNIT, 0.25, 0.25),
    Died(phases.NAMESPACE, 16.2, FAILED),
    WaitOver(),
)


def send(report: Report, *events: Event) -> None:
    for event in events:
        report.handle(event)


def test_a_pipe_gets_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    send(Report(), *EVENTS)

    assert [
        f"start {UNIT}: it is not running",
        "   0.2 s  unit active (0.2 s)",
        (
            "K3s exited after 16.2 s, before its network namespace was ready (exit code 1); reading"
            " its log"
        ),
    ] == capsys.readouterr().err.splitlines()


def test_a_unit_that_was_stopped_is_not_reported_as_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    send(Report(), EVENTS[2], Died(phases.NAMESPACE, 1.0, STOPPING))

    assert (
        "K3s stopped after 1.0 s, before its network namespace was ready (unit state"
        " deactivating/stop-sigterm); reading its log\n"
    ) == capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (replace(FAILED, exit_code=2, exit_status=9), "exited after 1.0 s, {} (signal 9)"),
        (replace(FAILED, result="timeout", exit_code=0), "exited after 1.0 s, {} (result timeout)"),
        (
            UnitState(UNIT, "loaded", "active", "running"),
            "was restarted after 1.0 s, {} (unit state active/running)",
        ),
    ],
)
def test_the_end_of_a_start_shows_how_the_process_ended(
    state: UnitState, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    send(Report(), EVENTS[2], Died(phases.NODE, 1.0, state))

    line = text.format("before its node was ready")
    assert f"K3s {line}; reading its log\n" == capsys.readouterr().err


def test_a_program_gets_a_document_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.json_for = "up"
    send(report, *EVENTS)

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
