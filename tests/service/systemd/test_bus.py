from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service.systemd import bus
from tests.fakes import rawbus
from tests.fakes.session import Session
from tests.patience import PATIENCE

DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
LISTENER = """
import os, socket, sys
bus = socket.socket(socket.AF_UNIX)
bus.bind(sys.argv[1])
os.setuid(3_000_000_000)
bus.listen()
print("ready", flush=True)
while True:
    bus.accept()[0].close()
"""
MANAGER = (
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
)


def connected(addresses: list[str], owner: int | None = None) -> str:
    async def connect() -> str:
        opened = await bus.connect(addresses, owner)
        try:
            (name,) = await opened.request(DAEMON, "GetNameOwner", "s", [DAEMON[0]], returns="s")
        finally:
            await opened.close()
        return str(name)

    return asyncio.run(connect())


def refusal(work: Coroutine[Any, Any, Any]) -> str:
    begun = time.monotonic()
    with pytest.raises(BusError) as caught:
        asyncio.run(work)
    assert time.monotonic() - begun < PATIENCE
    return caught.value.message


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (rawbus.hang_up, "the bus closed the connection during authentication"),
        (rawbus.hang_up_in_a_line, "the bus closed the connection during authentication"),
        (rawbus.endless, "the bus sent an authentication line that is too long"),
        (rawbus.reject, "authentication failed: REJECTED: ['ANONYMOUS']"),
        (
            rawbus.another_protocol,
            "the bus sent an unknown authentication reply: '220 mail.example ESMTP'",
        ),
        (rawbus.hang_up_after_hello, "the connection was closed"),
        (
            rawbus.rubbish_after_hello,
            (
                "the bus sent an invalid message: got unknown endian in message, expected"
                " LITTLE_ENDIAN"
            ),
        ),
        (rawbus.refuse_hello, "the bus rejected the call Hello: the bus is full"),
    ],
)
def test_a_peer_that_is_not_a_bus_is_reported_with_its_behaviour(
    tmp_path: Path, behaviour: rawbus.Behaviour, reason: str
) -> None:
    path = tmp_path / "bus"
    with rawbus.on_socket(path, behaviour):
        message = refusal(bus.connect([f"unix:path={path}"]))

    assert message.startswith(f"cannot reach the bus: {path}: {reason}"[:100])


@pytest.mark.thorough
def test_connections_to_silent_peers_have_a_time_limit(tmp_path: Path) -> None:
    """All peers are tried in parallel, since each takes the whole time limit.

    Two are silent, before and after Hello; the third has a full queue of connections.
    """
    addresses = [f"unix:path={tmp_path}/{name}" for name in "abc"]
    with (
        rawbus.on_socket(tmp_path / "a", rawbus.silent),
        rawbus.on_socket(tmp_path / "b", rawbus.silent_after_hello),
        socket.socket(socket.AF_UNIX) as full,
        socket.socket(socket.AF_UNIX) as waiting,
        ThreadPoolExecutor() as pool,
    ):
        full.bind(str(tmp_path / "c"))
        full.listen(0)
        waiting.connect(str(tmp_path / "c"))
        reasons = list(pool.map(lambda address: refusal(bus.connect([address])), addresses))

    assert reasons == [
        f"cannot reach the bus: {tmp_path}/{name}: no reply within 5 s" for name in "abc"
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"DBUS_SESSION_BUS_ADDRESS": ""}, []),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1500/bus"}, []),
        (
            {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a,guid=12;unix:abstract=b"},
            ["unix:path=/a", "unix:abstract=b"],
        ),
        (
            {
                "DBUS_SESSION_BUS_ADDRESS": (
                    ";;tcp:host=evil;unixexec:path=sh;unix:;disabled:;autolaunch:"
                )
            },
            [],
        ),
    ],
    ids=["unset", "empty", "the same", "list", "nothing usable"],
)
def test_the_users_own_bus_comes_last_and_once(
    environ: dict[str, str], expected: list[str]
) -> None:
    assert [*expected, "unix:path=/run/user/1500/bus"] == bus.user_bus_addresses(
        environ, Path("/run/user/1500")
    )


@pytest.mark.parametrize(
    "garbage",
    [
        "unix:=",
        "unix:path=",
        "unix:path=%00",
        "unix:path=/%ff",
        "unix:path=~/bus",
        "unix:path=/" + "x" * 200,
        "unix:path=/a=b,,=,c=",
        "unix:path=/nowhere;",
        "unix:path=/dev/null",
        "unix:abstract=%",
        "unix:runtime=yes",
        "unix:tmpdir=/tmp",
    ],
)
def test_an_invalid_address_is_skipped(fake: Session, garbage: str) -> None:
    addresses = bus.user_bus_addresses({"DBUS_SESSION_BUS_ADDRESS": garbage}, fake.runtime)

    assert len(addresses) > 1
    assert connected(addresses, os.getuid()) == DAEMON[0]


@pytest.mark.parametrize("name", ["with space", "50%", "~home", "é日😀", "a,b;c=d", "q'\"\\"])
def test_a_runtime_directory_of_any_name_is_reached(tmp_path: Path, name: str) -> None:
    runtime = tmp_path / name
    runtime.mkdir()
    with rawbus.on_socket(runtime / "bus", rawbus.reject):
        assert "REJECTED" in refusal(bus.connect(bus.user_bus_addresses({}, runtime)))


def test_a_runtime_directory_that_is_not_utf8_causes_no_traceback() -> None:
    assert "no such file" in refusal(
        bus.connect(bus.user_bus_addresses({}, Path("/nowhere/\udcff")))
    )


def test_the_bus_of_another_user_is_refused(fake: Session) -> None:
    address = f"unix:path=/nowhere,path={fake.runtime}/bus"

    message = refusal(bus.connect([address], os.getuid() + 1))

    assert message.endswith(f"the socket belongs to uid {os.getuid()}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_owners_with_uids_above_the_signed_range_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    with subprocess.Popen(
        [sys.executable, "-I", "-c", LISTENER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as listener:
        assert listener.stdout is not None
        assert b"ready\n" == listener.stdout.readline()

        other = refusal(bus.connect([f"unix:path={path}"], os.getuid()))
        same = refusal(bus.connect([f"unix:path={path}"], 3_000_000_000))
        listener.kill()

    assert other.endswith("the socket belongs to uid 3000000000")
    assert "belongs to uid" not in same


def test_a_bus_of_another_user_receives_no_data(tmp_path: Path) -> None:
    received: list[bytes] = []
    with rawbus.on_socket(tmp_path / "bus", lambda peer: received.append(peer.recv(100))):
        refusal(bus.connect([f"unix:path={tmp_path}/bus"], os.getuid() + 1))

    assert received in ([b""], [])


async def _on(
    session: Session,
    member: str,
    signature: str = "",
    body: list[Any] | None = None,
    returns: str = "",
) -> list[Any]:
    opened = await bus.connect([f"unix:path={session.runtime}/bus"])
    try:
        return await opened.request(MANAGER, member, signature, body or [], 0.3, returns)
    finally:
        await opened.close()


def test_a_call_without_a_reply_ends(fake: Session) -> None:
    fake.order(mute=["Reload"])

    assert "org.freedesktop.systemd1 did not reply to Reload within 0.3 s" == refusal(
        _on(fake, "Reload")
    )


def test_a_reply_of_another_type_is_an_error(fake: Session) -> None:
    message = refusal(_on(fake, "LoadUnit", "s", ["a.service"], returns="b"))

    assert (
        "org.freedesktop.systemd1 replied to LoadUnit with the type `o` instead of `b`" == message
    )


@pytest.mark.parametrize("argument", [7, "\udcff"], ids=["another type", "no text"])
def test_an_argument_that_does_not_fit_is_an_error(fake: Session, argument: object) -> None:
    assert refusal(_on(fake, "LoadUnit", "s", [argument], returns="o")).startswith(
        "cannot send LoadUnit on the bus: "
    )


def test_an_argument_that_makes_the_daemon_hang_up_is_an_error(fake: Session) -> None:
    assert "the bus closed the connection during LoadUnit" == refusal(
        _on(fake, "LoadUnit", "s", ["a\0b"], returns="o")
    )


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no reason given"), ("No.", "No"), ("EIO.", "eio")]
)
def test_an_error_reply_keeps_its_name(fake: Session, text: str | None, message: str) -> None:
    fake.order(errors={"Reload": ("org.example.Odd", text)})

    with pytest.raises(SystemdError) as caught:
        asyncio.run(_on(fake, "Reload"))

    assert (message, "org.example.Odd") == (caught.value.message, caught.value.name)


def test_a_lost_bus_ends_the_call_and_all_later_calls(own: Session) -> None:
    own.order(mute=["Reload"])

    async def calls() -> list[str]:
        opened = await bus.connect([f"unix:path={own.runtime}/bus"])
        asyncio.get_running_loop().call_later(0.1, own.kill_bus)
        messages = []
        for _ in range(2):
            try:
                await opened.request(MANAGER, "Reload")
            except BusError as error:
                messages.append(error.message)
        await opened.close()
        return messages

    assert [
        "the bus closed the connection during Reload",
        "the connection to the bus is closed",
    ] == asyncio.run(calls())


def test_a_bus_that_ends_between_two_calls_ends_the_next_call_at_once(own: Session) -> None:
    async def lose() -> str:
        opened = await bus.connect([f"unix:path={own.runtime}/bus"])
        own.kill_bus()
        try:
            await opened.request(MANAGER, "LoadUnit", "s", ["a.service"], returns="o")
        except BusError as error:
            return error.message
        finally:
            await opened.close()
        raise AssertionError("a reply")

    assert "the bus closed the connection during LoadUnit" == asyncio.run(lose())


def test_nothing_stays_open(fake: Session, tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def once() -> None:
        with rawbus.on_socket(tmp_path / "bus", rawbus.reject):
            connected(
                ["unix:path=/nowhere", f"unix:path={tmp_path}/bus", f"unix:path={fake.runtime}/bus"]
            )
        (tmp_path / "bus").unlink()

    once()
    before = open_files()
    for _ in range(5):
        once()

    assert before == open_files()
