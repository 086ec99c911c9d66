"""Tests that a start is followed to its end.

The listener receives each phase and the exit of K3s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import until_ready
from k3s_rootless.operations.launch.events import Died, PhaseReached, Waiting, WaitOver
from k3s_rootless.operations.readiness import phases
from k3s_rootless.paths import UNIT
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session
from tests.operations import unit
from tests.ports import peers

ROUTES = {"/v1/info": {"version": "2.0.0", "childPID": 7}, "/v1/ports": []}


@pytest.fixture
def data(home: Path, bus: Session) -> Path:
    directory = unit.write(bus, home)
    (directory / "rootless").mkdir(parents=True)
    return directory


@pytest.fixture
def manager(context: Context, data: Path) -> Iterator[UserManager]:
    del data
    with context.manager() as opened:
        opened.watch(UNIT)
        opened.start(UNIT)
        yield opened


def followed(
    context: Context, manager: UserManager, until: str, seconds: float = 20
) -> list[PhaseReached]:
    return until_ready.until_ready(
        context, manager, None, seconds=seconds, until=until, started=True
    )


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def test_each_phase_is_an_event_and_in_the_result(
    context: Context, manager: UserManager, data: Path, events: list[Event]
) -> None:
    rootless = data / "rootless"
    (rootless / "child_pid").write_text("7")
    with peers.on_socket(rootless / "api.sock", peers.answering(ROUTES)):
        os.chown(rootless / "api.sock", context.uid, context.uid)
        reached = followed(context, manager, "socket")

    expected = [phases.UNIT, phases.NAMESPACE, phases.SOCKET]
    assert expected == [one.phase for one in reached]
    assert [Waiting, PhaseReached, PhaseReached, PhaseReached, WaitOver] == kinds(events)
    assert reached == events[1:4]
    assert isinstance(events[0], Waiting)
    assert tuple(expected) == events[0].phases


def test_the_wait_includes_the_phases_up_to_the_requested_one(
    context: Context, manager: UserManager
) -> None:
    reached = followed(context, manager, "unit")

    assert [phases.UNIT] == [one.phase for one in reached]


def test_the_timeout_error_names_the_phase_and_what_is_missing(
    context: Context, manager: UserManager, events: list[Event]
) -> None:
    with pytest.raises(NotReady) as late:
        followed(context, manager, "node", seconds=0)

    assert (
        "K3s is not ready after 0 s: rootlesskit has not created its child namespace yet"
        " (phase: child namespace; last reached: unit active)"
    ) in str(late.value)
    details = late.value.details
    assert ["phase", "missing", "reached"] == list(details)
    assert "namespace" == details["phase"]
    assert ["unit"] == [one["phase"] for one in details["reached"]]
    assert [Waiting, PhaseReached, WaitOver] == kinds(events)[:3]


def test_an_external_stop_ends_the_wait_at_once(
    context: Context, manager: UserManager, bus: Session, events: list[Event]
) -> None:
    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, PhaseReached):
            bus.order(
                properties={
                    "ActiveState": ("s", "deactivating"),
                    "SubState": ("s", "stop-sigterm"),
                }
            )
            bus.signal_change()

    with pytest.raises(RootlessError) as stopped:
        followed(replace(context, listener=listen), manager, "node")

    assert (
        "K3s failed to start: its unit was stopped or restarted while waiting for `child namespace`"
        == str(stopped.value)
    )
    assert ("stopped", "namespace") == (
        stopped.value.details["cause"],
        stopped.value.details["phase"],
    )
    assert [Waiting, PhaseReached, Died, WaitOver] == kinds(events)
    died = events[2]
    assert isinstance(died, Died)
    assert (phases.NAMESPACE, "deactivating") == (died.phase, died.state.active_state)


def test_an_interrupt_ends_the_drawing_and_reports_that_k3s_keeps_starting(
    context: Context, manager: UserManager, events: list[Event]
) -> None:
    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, PhaseReached):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        followed(replace(context, listener=listen), manager, "node")

    assert WaitOver in kinds(events)
    assert ["K3s keeps starting; check its progress with: k3s-rootless status"] == unit.notices(
        events
    )


def test_a_user_manager_that_does_not_return_ends_the_wait(
    context: Context, manager: UserManager, bus: Session, events: list[Event]
) -> None:
    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, PhaseReached):
            bus.kill_bus()

    with pytest.raises(RootlessError) as lost:
        followed(replace(context, listener=listen), manager, "node", seconds=1)

    assert str(lost.value).startswith(
        "lost the connection to the user manager, and cannot reconnect:"
    )
    (notice,) = unit.notices(events)
    assert notice.startswith("lost the connection to the user manager (")
