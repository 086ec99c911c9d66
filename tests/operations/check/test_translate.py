"""Tests that sockets and units become the records that the judges know."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from pathlib import Path

import pytest

from k3s_rootless.linux import sockets
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Unknown, value_or
from k3s_rootless.operations.check import translate
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.records import Unit
from k3s_rootless.service.facts import UnitState
from tests.preflight.trees import write
from tests.server import of_command

NOTHING_SET = of_command((), {}, Path("/home/alice"))


def test_an_owner_of_a_port_of_k3s_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = ("k3s", "server", f"--https-listen-port={port}")
        settings = of_command(command, {}, tmp_path)
        listeners = [one for one in sockets.listeners() if one.port == port]

        found = translate.used_ports(listeners, settings, os.getuid())

    assert isinstance(found, Known)
    (held,) = found.value
    assert (port, os.getpid(), False, False) == (held.port, held.pid, held.ours, held.foreign)


def test_other_ports_and_udp_do_not_matter() -> None:
    listeners = [
        Listener("udp", "192.0.2.7", NOTHING_SET.https_port, 0, 1),
        Listener("tcp", "192.0.2.7", 80, 0, 2),
    ]

    found = translate.used_ports(listeners, NOTHING_SET, 1000)

    assert Known((), "the sockets of this host") == found


def test_a_port_of_another_user_is_foreign() -> None:
    listeners = [Listener("tcp", "::", port, 4242, port) for port in (10443, 6443, 10080)]

    found = translate.used_ports(listeners, NOTHING_SET, 1000)

    assert isinstance(found, Known)
    assert [6443, 10080, 10443] == [one.port for one in found.value]
    assert {("uid 4242", True, None)} == {(one.user, one.foreign, one.pid) for one in found.value}


def test_a_unit_keeps_what_the_judges_need(tmp_path: Path) -> None:
    state = UnitState(
        UNIT,
        "loaded",
        "failed",
        "failed",
        argv=("k3s", "server"),
        drop_ins=(Path("/etc/one.conf"),),
        environment={"A": "b"},
    )

    found = translate.unit(Known(state, "systemd"), tmp_path)

    assert isinstance(found, Known)
    assert "systemd" == found.source
    for name in {one.name for one in fields(Unit)} - {"drop_ins", "environment", "unread"}:
        assert getattr(state, name) == getattr(found.value, name)
    assert (("/etc/one.conf",), {"A": "b"}) == (found.value.drop_ins, found.value.environment)


def test_an_unknown_unit_stays_unknown(tmp_path: Path) -> None:
    assert Unknown("dark") == translate.unit(Unknown("dark"), tmp_path)


def loaded(units: Path, *, needs_reload: bool = False, **limits: int | None) -> UnitState:
    """Return a unit with the drop-in `50-a.conf` that systemd has read."""
    return UnitState(
        UNIT,
        "loaded",
        "active",
        "running",
        fragment=write(units / UNIT, "[Service]\nTasksMax=infinity\n"),
        drop_ins=(write(units / f"{UNIT}.d/50-a.conf", "[Service]\nMemoryMax=1G\n"),),
        needs_reload=needs_reload,
        limits=limits,
    )


@pytest.mark.parametrize(
    ("name", "text", "limit", "value"),
    [
        ("60-b.conf", "MemoryMax=100M", "MemoryMax", Known(100 * 2**20)),
        ("60-b.conf", "TasksMax=24\nTasksMax=48", "TasksMax", Known(48)),
        ("60-b.conf", "LimitNOFILE=64:128", "LimitNOFILE", Known(128)),
        # It sorts before 50-a.conf, which sets the limit again.
        ("40-b.conf", "MemoryMax=100M", "MemoryMax", None),
        ("60-b.conf", "TasksMax=10%", "TasksMax", Unknown("TasksMax=10% is not a plain number")),
        ("60-b.conf", "MemoryMax=", "MemoryMax", Known(None)),
    ],
)
def test_limits_that_systemd_has_not_read_are_those_of_the_next_start(
    tmp_path: Path, name: str, text: str, limit: str, value: Known[int | None] | Unknown | None
) -> None:
    state = loaded(tmp_path, MemoryMax=2**30)
    file = write(tmp_path / f"{UNIT}.d" / name, f"[Service]\n{text}\n")

    found = translate.unit(Known(state, "systemd"), tmp_path)

    assert isinstance(found, Known)
    unread = found.value.unread
    assert {limit} - ({limit} if value is None else set()) == unread.keys()
    if value is not None:
        assert str(file) == unread[limit].file
        assert value_or(value, value) == value_or(unread[limit].value, value)


def test_a_changed_file_is_read_only_if_systemd_has_not_read_it(tmp_path: Path) -> None:
    """Without a reload, the file cannot differ: systemd compares its time."""
    read = loaded(tmp_path, MemoryMax=None)
    changed = loaded(tmp_path, needs_reload=True, MemoryMax=None)

    fresh, stale = (translate.unit(Known(one, ""), tmp_path) for one in (read, changed))

    assert isinstance(fresh, Known)
    assert isinstance(stale, Known)
    assert {} == fresh.value.unread
    assert {"MemoryMax": 2**30} == {
        name: value_or(one.value, None) for name, one in stale.value.unread.items()
    }
