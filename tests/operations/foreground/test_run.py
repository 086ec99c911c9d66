"""Tests of K3s in the foreground with a fake user manager; tests/e2e has a real systemd."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, SystemdError
from k3s_rootless.operations import restart, stop, up
from k3s_rootless.operations.certificates import rotate
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.foreground import run
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.operations.token import plan
from k3s_rootless.operations.token import rotate as token
from k3s_rootless.paths import FOREGROUND, UNIT
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit.foreground import WATCH
from tests.fakes.session import Session
from tests.operations import unit

ALL = tuple(sorted({check.id.partition(".")[0] for check in checklist.CHECKS}))
REQUEST = run.Request(ignored=ALL, timeout=0)
KEEPS = "K3s keeps running; stop it with Ctrl-C"


@pytest.fixture
def k3s(home: Path) -> Path:
    return unit.write_k3s(home)


def not_ready(started: Started) -> None:
    raise AssertionError(started)


def at_start(context: Context, act: Callable[[Context], object]) -> Context:
    """Return the context of a `run` during which `act` is called once, in another thread."""
    threads: list[threading.Thread] = []

    def listen(event: Event) -> None:
        context.listener(event)
        if isinstance(event, Notice) and KEEPS in event.text and not threads:
            threads.append(threading.Thread(target=act, args=(context,)))
            threads[0].start()

    return replace(context, listener=listen)


def down(context: Context) -> None:
    stop.stop(context, disable=False)


def test_it_runs_until_down_and_leaves_nothing(
    context: Context, bus: Session, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    seen: list[UnitState] = []

    def act(other: Context) -> None:
        seen.append(other.k3s_unit())
        down(other)

    run.run(at_start(context, act), replace(REQUEST, arguments=("--debug",)), not_ready)

    (found,) = seen
    assert (FOREGROUND, True, True) == (found.name, found.running, found.in_foreground)
    assert "--debug" == found.argv[-1]
    assert "PATH" in (found.environment or {})
    assert f"start {FOREGROUND}" in unit.steps(events)
    assert any("K3s is not ready after" in one for one in unit.notices(events))
    assert not context.paths.foreground.exists()
    with context.manager() as manager:
        assert {"inactive"} == {manager.unit(name).active_state for name in (FOREGROUND, WATCH)}
    assert not (bus.units / UNIT).exists()


def test_other_starts_are_refused_meanwhile(context: Context, bus: Session, home: Path) -> None:
    unit.write_k3s(home)
    unit.write(bus, home)
    refusals: list[str] = []

    def act(other: Context) -> None:
        for attempt in (
            lambda: up.up(other, up.Request(ignored=ALL), lambda _: True),
            lambda: up.plan(other, up.Request(ignored=ALL)),
            lambda: restart.restart(other, None),
            lambda: run.run(other, REQUEST, not_ready),
            lambda: rotate.rotate(other, rotate.Request((), 1.0), lambda _: True),
            lambda: token.rotate(other, plan.Request(1.0), lambda _: True),
        ):
            try:
                attempt()
            except RootlessError as error:
                refusals.append(error.message)
        down(other)

    run.run(at_start(context, act), REQUEST, not_ready)

    assert [
        "cannot start the unit: K3s runs in a terminal (`k3s-rootless run`)",
        "cannot start the unit: K3s runs in a terminal (`k3s-rootless run`)",
        "cannot restart the unit: K3s runs in a terminal (`k3s-rootless run`)",
        "cannot run K3s in this terminal: K3s runs in a terminal (`k3s-rootless run`)",
        "cannot rotate the certificates: K3s runs in a terminal (`k3s-rootless run`)",
        "cannot rotate the token: K3s runs in a terminal (`k3s-rootless run`)",
    ] == refusals


def test_it_is_refused_while_the_unit_runs(context: Context, bus: Session, home: Path) -> None:
    unit.write_k3s(home)
    unit.write(bus, home)
    with context.manager() as manager:
        manager.start(UNIT)

    with pytest.raises(RootlessError, match=r"`k3s-rootless.service` is active \(running\)"):
        run.run(context, REQUEST, not_ready)

    assert "StartTransientUnit" not in [call[0] for call in bus.calls()]
    assert not context.paths.foreground.exists()


def test_a_start_that_systemd_refuses_leaves_no_lock(
    context: Context, bus: Session, k3s: Path
) -> None:
    assert k3s.exists()
    refusal = ("org.freedesktop.systemd1.UnitExists", "Unit was already loaded.")
    bus.order(errors={"StartTransientUnit": refusal})

    with pytest.raises(SystemdError, match="already loaded"):
        run.run(context, REQUEST, not_ready)

    assert not context.paths.foreground.exists()


def test_a_file_of_a_killed_run_does_not_hide_the_unit(
    context: Context, bus: Session, home: Path
) -> None:
    unit.write(bus, home)
    with context.manager() as manager:
        manager.start(UNIT)
        context.paths.foreground.touch()

        assert UNIT == context.k3s_unit(manager).name
    assert UNIT == context.k3s_unit().name
    restart.restart(context, None)
