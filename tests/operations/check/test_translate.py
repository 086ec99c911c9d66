"""Tests that sockets and units become the records that the judges know."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from pathlib import Path

from k3s_rootless.linux import sockets
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check import translate
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.records import Unit
from k3s_rootless.service.facts import UnitState
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


def test_a_unit_keeps_what_the_judges_need() -> None:
    state = UnitState(
        UNIT,
        "loaded",
        "failed",
        "failed",
        argv=("k3s", "server"),
        drop_ins=(Path("/etc/one.conf"),),
        environment={"A": "b"},
    )

    found = translate.unit(Known(state, "systemd"))

    assert isinstance(found, Known)
    assert "systemd" == found.source
    for name in {one.name for one in fields(Unit)} - {"drop_ins", "environment"}:
        assert getattr(state, name) == getattr(found.value, name)
    assert (("/etc/one.conf",), {"A": "b"}) == (found.value.drop_ins, found.value.environment)


def test_an_unknown_unit_stays_unknown() -> None:
    assert Unknown("dark") == translate.unit(Unknown("dark"))
