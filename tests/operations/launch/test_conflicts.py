"""Tests that another K3s of the user is an error before a start.

A port in use is reported.
"""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import conflicts
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from tests.operations import unit

STOPPED = UnitState(UNIT, "loaded", "inactive", "dead")


def state(home: Path, *flags: str) -> UnitState:
    argv = ("/usr/local/bin/k3s", "server", "--rootless", f"--data-dir={home / 'data'}", *flags)
    return replace(STOPPED, argv=argv)


def test_another_k3s_with_the_same_data_is_an_error(context: Context, home: Path) -> None:
    lock = home / "data" / "rootless" / "lock"
    lock.parent.mkdir(parents=True)

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PreflightFailed) as second:
            conflicts.report(context, state(home), {})

    assert f"uses its data (lock: `{lock}`)" in str(second.value)
    assert str(second.value).startswith("cannot start K3s: another K3s of the same user, ")
    assert f"(PID {os.getpid()}" in str(second.value)
    assert second.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"active_state": "active", "sub_state": "running"},
        {"active_state": "deactivating", "sub_state": "stop-sigterm"},
    ],
)
def test_a_k3s_that_runs_or_stops_has_no_conflicts(
    context: Context, home: Path, change: dict[str, str], events: list[Event]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        busy = f"--https-listen-port={held.getsockname()[1]}"
        conflicts.report(context, replace(state(home, busy), **change), {})  # type: ignore[arg-type]

    assert [] == events


def test_a_unit_between_two_restarts_can_hold_its_own_lock(context: Context, home: Path) -> None:
    lock = home / "data" / "rootless" / "lock"
    lock.parent.mkdir(parents=True)
    restarting = replace(state(home), active_state="activating", sub_state="auto-restart")

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        conflicts.report(context, restarting, {})


def test_a_port_in_use_is_reported_with_a_free_port(
    context: Context, home: Path, events: list[Event]
) -> None:
    with socket.create_server(("", 0)) as held:
        port = held.getsockname()[1]
        conflicts.report(context, state(home, f"--https-listen-port={port}"), {})

    notices = [line for line in unit.notices(events) if str(port) in line or "for the API" in line]
    assert notices[0].startswith(f"port {port}, which K3s needs for its API server, is in use by ")
    assert f"(PID {os.getpid()}" in notices[0]
    assert " is free for the API server: " in notices[1]
    assert "k3s-rootless config set https-listen-port " in notices[1]
