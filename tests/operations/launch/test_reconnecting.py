"""Tests that a user manager that stops and starts again is found again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from k3s_rootless.background import Followed
from k3s_rootless.errors import BusError
from k3s_rootless.journal.facts import Cause
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch.reconnecting import ReconnectingManager
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.operations import unit
from tests.patience import HANGS


def test_a_user_manager_that_returns_is_reconnected(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.watch(UNIT)
        lasting = ReconnectingManager(context, manager, time.monotonic() + HANGS, UNIT)
        before = lasting.unit(UNIT)
        bus.kill_bus()
        again = threading.Timer(0.3, bus.restart_bus)
        again.start()
        after = lasting.unit(UNIT)
        again.join()

    assert before.load_state == after.load_state == "loaded"
    (notice,) = unit.notices(events)
    assert notice.startswith("lost the connection to the user manager (")
    assert notice.endswith("); reconnecting")


def test_a_user_manager_that_does_not_return_is_an_error_at_the_deadline(
    context: Context, bus: Session, home: Path
) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.watch(UNIT)
        lasting = ReconnectingManager(context, manager, time.monotonic() + 0.2, UNIT)
        bus.kill_bus()
        with pytest.raises(BusError) as lost:
            lasting.unit(UNIT)

    assert "cannot reconnect: " in str(lost.value)
    assert "log in again, then run: k3s-rootless status" == lost.value.hint


@pytest.mark.parametrize(
    ("waits", "phase", "expected"),
    [
        (None, "node", False),
        ("", "node", False),
        ("api", "port", False),
        ("api", "api", True),
        ("api", "node", True),
    ],
)
def test_a_start_is_stuck_from_the_phase_that_its_journal_names(
    context: Context, waits: str | None, phase: str, *, expected: bool
) -> None:
    ready = threading.Event()

    def follow(cause: Followed[Cause | None]) -> None:
        if waits:
            cause.put(Cause("id", "", "title", "line", None, None, waits=waits))
        ready.set()

    with context.manager() as manager:
        lasting = ReconnectingManager(context, manager, time.monotonic(), UNIT)
        assert not lasting.stuck(phase)
        first: Cause | None = None
        lasting.journal = Followed("journal", first, follow)
        assert ready.wait(HANGS)
        assert expected == lasting.stuck(phase)
