"""Real connections through the forwards, from this host's loopback.

Many connections run at a time, each within its time limit.

A forward accepts a connection before it is known whether a program listens inside: rootlesskit
accepts, connects inside, and closes if no program answers (its pkg/port/builtin, 0.14 to 2.3). So
an accepted connection alone proves nothing. It must also stay open for a moment, or be answered by
TLS or HTTP if the port speaks one of them. Certificates are not verified, because the probe only
checks whether a program answers.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from k3s_rootless.ports.facts import Probe
from k3s_rootless.printable import printable

ANSWER_SECONDS = 2.0
ALL_SECONDS = 60.0
MOST_AT_ONCE = 256
STAYS_OPEN_SECONDS = 0.4
"""How long a connection must stay open.

rootlesskit dials ten times within 225 ms before it closes the connection (seen with 2.0.2).
"""
_REFUSED = "connection refused: no process listens on the port"
_CLOSED = "connection closed immediately: no program answers in K3s's namespace"


@dataclass(frozen=True, slots=True)
class Target:
    """The address and port to connect to; `speaks` is tcp, udp, https or http."""

    address: str
    port: int
    speaks: str


def probe(targets: Iterable[Target], *, seconds: float = ALL_SECONDS) -> Mapping[Target, Probe]:
    """Connect to each target once.

    `seconds` is the time limit of all targets together. The result of a target that was not tried
    within this time contains this reason.
    """
    with asyncio.Runner() as runner:
        return runner.run(_all(tuple(dict.fromkeys(targets)), seconds))


async def _all(targets: tuple[Target, ...], seconds: float) -> Mapping[Target, Probe]:
    found: dict[Target, Probe] = {}
    waiting = iter(targets)
    context = _context() if any(one.speaks == "https" for one in targets) else None

    async def work() -> None:
        for target in waiting:
            found[target] = await _one(target, context)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(work() for _ in range(min(MOST_AT_ONCE, len(targets)))))
    late = Probe(f"not tested: the time limit of {seconds:g} s was reached")
    return {target: found.get(target, late) for target in targets}


async def _one(target: Target, context: ssl.SSLContext | None) -> Probe:
    started = time.perf_counter()
    connect = {"udp": _udp, "http": _http, "https": _https}.get(target.speaks, _tcp)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await connect(target, started, context)
    except TimeoutError:
        return Probe(f"no answer within {ANSWER_SECONDS:g} s", answered=False)
    except ConnectionRefusedError:
        return Probe(_REFUSED, answered=False)
    except (ConnectionError, asyncio.IncompleteReadError):
        return Probe(_CLOSED, answered=False)
    except OSError as error:
        return Probe(printable((error.strerror or type(error).__name__).lower()), answered=False)


async def _tcp(target: Target, started: float, _context: ssl.SSLContext | None) -> Probe:
    reader, writer = await asyncio.open_connection(target.address, target.port)
    took = _since(started)
    try:
        async with asyncio.timeout(STAYS_OPEN_SECONDS):
            data = await reader.read(256)
    except TimeoutError:
        return Probe("connected", answered=True, milliseconds=took)
    finally:
        writer.close()
    if not data:
        return Probe(_CLOSED, answered=False)
    return Probe("connected; the server sent data first", answered=True, milliseconds=took)


async def _http(target: Target, started: float, _context: ssl.SSLContext | None) -> Probe:
    reader, writer = await asyncio.open_connection(target.address, target.port)
    try:
        return await _status(reader, writer, started, "HTTP")
    finally:
        writer.close()


async def _https(target: Target, started: float, context: ssl.SSLContext | None) -> Probe:
    try:
        reader, writer = await asyncio.open_connection(
            target.address, target.port, ssl=context, server_hostname="localhost"
        )
    except ssl.SSLError as error:
        # A program answers and refuses: it requires a client certificate, or does not speak TLS.
        return Probe(
            f"connected, but TLS failed: {printable(error.reason or 'unexpected data')}",
            answered=True,
            milliseconds=_since(started),
        )
    try:
        spoken = writer.get_extra_info("ssl_object").version() or "TLS"
        took = _since(started)
        answer = await _status(reader, writer, started, spoken)
        if answer.answered:
            return answer
        return Probe(f"{spoken} handshake", answered=True, milliseconds=took)
    except (ConnectionError, asyncio.IncompleteReadError):
        return Probe(f"{spoken} handshake", answered=True, milliseconds=took)
    finally:
        writer.close()


async def _status(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, started: float, how: str
) -> Probe:
    writer.write(
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: k3s-rootless\r\nConnection:"
        b" close\r\n\r\n"
    )
    line = (await reader.read(512)).split(b"\r\n")[0].split()
    took = _since(started)
    if not line:
        return Probe(_CLOSED, answered=False)
    if len(line) > 1 and line[0].startswith(b"HTTP/") and line[1].isdigit() and len(line[1]) == 3:
        spoken = f"HTTP over {how}"
        if how == "HTTP":
            spoken = how
        return Probe(
            f"{spoken}: status {line[1].decode('ascii')}", answered=True, milliseconds=took
        )
    return Probe("connected, but the answer is not HTTP", answered=True, milliseconds=took)


async def _udp(target: Target, started: float, _context: ssl.SSLContext | None) -> Probe:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET
    if ":" in target.address:
        family = socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        client.connect((target.address, target.port))
        # A program ignores an empty datagram. If no program listens, the kernel refuses the
        # datagram like any other. asyncio's own datagram transports drop an empty datagram before
        # Python 3.13.
        client.send(b"")
        try:
            async with asyncio.timeout(STAYS_OPEN_SECONDS):
                await loop.sock_recv(client, 1)
        except TimeoutError:
            return Probe("sent; UDP does not confirm delivery")
    return Probe("answered", answered=True, milliseconds=_since(started))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
