"""Tests of the output of commands that start and stop K3s, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import launch
from k3s_rootless.cli.display.report import Report
from k3s_rootless.k3s.version import parse
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.install import Installed
from k3s_rootless.operations.launch.events import PhaseReached
from k3s_rootless.operations.launch.sequence import Plan
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.operations.readiness import phases
from k3s_rootless.operations.stop import Stopped
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import DesiredUnit, Found, UnitState
from k3s_rootless.service.plan.outage import Outage
from k3s_rootless.service.plan.steps import Restart, Start, Step

STATE = UnitState(UNIT, "loaded", "inactive", "dead")
STARTED: tuple[Step, ...] = (Start(UNIT, "it is not running"),)
NODE = (PhaseReached(phases.NODE, 2.5, 1.0),)
SOCKET = (PhaseReached(phases.SOCKET, 0.5, 0.5),)


@pytest.mark.parametrize(
    ("started", "line"),
    [
        (
            Started(STARTED, 2.5, NODE),
            "K3s is ready (2.5 s); list its ports with: k3s-rootless ports",
        ),
        (
            Started((), 2.5, NODE, kubeconfig=Path("/home/a b/k3s.yaml")),
            "K3s is ready (2.5 s); list its ports with: k3s-rootless ports",
        ),
        (
            Started(STARTED, 2.5, NODE, kubeconfig=Path("/home/a b/k3s.yaml")),
            (
                "K3s is ready (2.5 s)\n\n"
                "export KUBECONFIG='/home/a b/k3s.yaml'  # let kubectl use this cluster\n"
                "k3s-rootless kubectl get pods -A        # list its pods\n"
                "k3s-rootless ports                      # show where its Services are reachable"
            ),
        ),
        (Started((), 0.5, SOCKET), "K3s is starting (0.5 s); last phase reached: API socket"),
        (
            Started(STARTED, 0.1, None),
            "K3s was started; check whether it is ready with: k3s-rootless status",
        ),
        (
            Started((), 0.1, None),
            "K3s was already running; check whether it is ready with: k3s-rootless status",
        ),
    ],
)
def test_up_reports_the_state_of_k3s(
    started: Started, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch.show_up(Report(), started)

    assert f"{line}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("reached", "line"),
    [
        (NODE, "K3s is ready (3.0 s)"),
        (SOCKET, "K3s is starting (3.0 s); last phase reached: API socket"),
        (None, "K3s was restarted; check whether it is ready with: k3s-rootless status"),
    ],
)
def test_restart_reports_the_state_of_k3s(
    reached: tuple[PhaseReached, ...] | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch.show_restart(Report(), Started(STARTED, 3.0, reached))

    assert f"{line}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("enabled", "lingers", "line"),
    [
        ("disabled", Known(value=True), "K3s is stopped."),
        (
            "enabled",
            Known(value=True),
            "K3s is stopped. It starts again at the next boot, because lingering is on.",
        ),
        (
            "enabled",
            Known(value=False),
            "K3s is stopped. It starts again at your next login.",
        ),
        (
            "enabled",
            Unknown("no permission"),
            "K3s is stopped. It starts again at your next login (or at boot, if lingering is on).",
        ),
    ],
)
def test_down_says_when_k3s_starts_again(
    enabled: str, lingers: Observed[bool], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch.show_stop(Report(), Stopped(replace(STATE, file_state=enabled), (), lingers))

    assert f"{line}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (STARTED, "K3s is installed for this user; start it with: k3s-rootless up"),
        (
            (),
            "nothing to do: the unit is installed and enabled; start it with: k3s-rootless up",
        ),
    ],
)
def test_install_reports_whether_anything_changed(
    steps: tuple[Step, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    desired = DesiredUnit(Path("/units") / UNIT, "[Service]\n", "v1.33.4+k3s1")

    state = replace(STATE, file_state="enabled")
    launch.show_install(Report(), Installed(desired, state, steps))

    assert f"{line}\n" == capsys.readouterr().out


def test_a_plan_is_numbered_and_names_the_restart(capsys: pytest.CaptureFixture[str]) -> None:
    stops = Outage("its unit changed", parse("v1.33.4+k3s1"), parse("v1.33.4+k3s1"))
    steps = (Restart(UNIT, "its unit changed"),)

    launch.show_plan(Report(), Plan(steps, Found(None, None, STATE), stops))
    launch.show_plan(Report(), Plan((), Found(None, None, STATE), None))

    assert [
        f"1. restart {UNIT}: its unit changed",
        (
            "K3s must restart, and all pods stop: its unit changed; `up` asks for"
            " confirmation, or needs --restart"
        ),
        "nothing to do",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("lingers", [True, False])
def test_lingering_is_reported(capsys: pytest.CaptureFixture[str], *, lingers: bool) -> None:
    launch.show_lingering(Report(), lingers=lingers)
    line = capsys.readouterr().out

    assert line.startswith(f"lingering is {'on' if lingers else 'off'}: K3s ")


def test_the_document_of_up_has_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.json_for = "up"

    launch.show_up(report, Started(STARTED, 2.5004, NODE, None))

    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {
        "schema": "k3s-rootless/up/v1",
        "changed": True,
        "ready": True,
        "seconds": 2.5,
        "steps": [
            {"step": "Start", "does": f"start {UNIT}", "cause": "it is not running"},
        ],
        "phases": [{"phase": "node", "name": "node ready", "seconds": 2.5, "took": 1.0}],
        "restart_needed": None,
        "errors": [],
    } == found
