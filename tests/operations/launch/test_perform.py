"""Tests that steps are announced and then performed.

A start that systemd refuses is repeated or explained.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, SystemdError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.launch import perform
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan.steps import Enable, Reload, Restart, Start, Stop
from tests.fakes.session import Session
from tests.operations import unit


def test_each_step_is_announced_before_it_is_performed(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    called: list[list[object]] = []

    def listen(event: Event) -> None:
        events.append(event)
        called.append([call[0] for call in bus.calls()])

    listening = Context(context.paths, context.environ, context.uid, context.user, listen)
    with listening.manager() as manager:
        steps = (Reload("it is new"), Enable(UNIT, "so it starts"), Start(UNIT, "it is stopped"))
        perform.perform(listening, manager, steps)

    assert [
        StepBegins("reload the user manager", "it is new"),
        StepBegins(f"enable {UNIT}", "so it starts"),
        StepBegins(f"start {UNIT}", "it is stopped"),
    ] == events
    assert ["Reload" in called[0], "Reload" in called[1]] == [False, True]
    assert ["StartUnit" in called[2], "StartUnit" in [call[0] for call in bus.calls()]] == [
        False,
        True,
    ]


def test_a_start_limit_is_reset_and_the_start_repeated(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    bus.order(results={"StartUnit": "failed"}, properties={"Result": ("s", "start-limit-hit")})

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, Notice):
            bus.order()

    listening = Context(context.paths, context.environ, context.uid, context.user, listen)
    with listening.manager() as manager:
        perform.step(listening, manager, Start(UNIT, "it is stopped"))
        state = manager.unit(UNIT)

    assert state.running
    (notice,) = unit.notices(events)
    assert notice.startswith(f"resetting the start limit of {UNIT}: systemd refused the start")
    assert ["StartUnit", "ResetFailedUnit", "StartUnit"] == [
        call[0] for call in bus.calls() if call[0].endswith("Unit") and call[0] != "LoadUnit"
    ]


def test_the_error_of_a_refused_start_contains_the_cause(
    context: Context, bus: Session, home: Path
) -> None:
    unit.write(bus, home)
    bus.order(
        results={"StartUnit": "failed"},
        properties={"LoadState": ("s", "masked"), "Result": ("s", "success")},
    )

    with context.manager() as manager, pytest.raises(RootlessError) as refused:
        perform.step(context, manager, Start(UNIT, "it is stopped"))

    assert "unit-masked" == refused.value.details["cause"]
    assert "unmask" in str(refused.value.hint)


def test_the_error_of_another_refused_step_is_not_changed(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    bus.order(errors={"StopUnit": ("org.freedesktop.DBus.Error.AccessDenied", "No.")})

    with context.manager() as manager, pytest.raises(SystemdError):
        perform.step(context, manager, Stop(UNIT, "stopped"))

    assert [StepBegins(f"stop {UNIT}", "stopped")] == events


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), False),
        ((Stop(UNIT, "x"), Enable(UNIT, "x")), False),
        ((Stop(UNIT, "x"), Start(UNIT, "x")), True),
        ((Restart(UNIT, "x"),), True),
    ],
)
def test_starts_is_true_if_a_step_starts_k3s(
    steps: tuple[Stop | Enable | Start | Restart, ...], *, expected: bool
) -> None:
    assert expected == perform.starts(steps)
