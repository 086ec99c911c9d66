"""D-Bus without the traps of dbus-next 0.2.3: the only importer of that library.

The release of 2021 spins for ever when the peer closes during authentication, waits for ever for a reply, calls into the void
after a disconnect, knows one address only, and cannot be imported by Python 3.15, which removed a decorator that it names.
Each of these is closed here; every call has a time limit and ends in an answer or a BusError.
"""

from __future__ import annotations

import asyncio
import os
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from k3s_rootless.errors import BusError, SystemdError

if not hasattr(typing, "no_type_check_decorator"):
    typing.no_type_check_decorator = lambda decorator: decorator  # type: ignore[attr-defined,unused-ignore]
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from dbus_next import Message, MessageType, Variant
    from dbus_next.aio import MessageBus
    from dbus_next.errors import AuthError, InvalidAddressError, SignatureBodyMismatchError

CONNECT_SECONDS = 5.0
CALL_SECONDS = 10.0
_LONGEST_LINE = 16384
SYSTEM_BUS = "/run/dbus/system_bus_socket"

Handler = Callable[[Message], None]


def user_bus_addresses(environ: Mapping[str, str], runtime: Path) -> list[str]:
    """Give the addresses to try, one by one: those of the environment, then the bus of the user manager itself."""
    given = environ.get("DBUS_SESSION_BUS_ADDRESS", "").split(";")
    own = "unix:path=" + quote(f"{runtime}/bus", safe="/-_.").replace("~", "%7E")
    return list(dict.fromkeys([address for address in given if address.startswith("unix:") and "=" in address] + [own]))


class Bus(MessageBus):  # type: ignore[misc]
    """One connection, and its calls."""

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            # One byte at a time: what follows the reply to BEGIN belongs to the messages.
            byte = await self._loop.sock_recv(self._sock, 1)
            if not byte:
                raise AuthError("the bus closed the connection during authentication")
            line += byte
            if len(line) > _LONGEST_LINE:
                raise AuthError("an authentication line that never ends")
        return line[:-2].decode("ascii", "replace")

    async def request(
        self,
        to: tuple[str, str, str],
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        seconds: float = CALL_SECONDS,
    ) -> list[Any]:
        """Call a method of `to` (destination, object path, interface); give the reply's body.

        Raises SystemdError for an error reply, BusError when no reply comes or the connection is gone.
        """
        destination, path, interface = to
        if not self.connected:
            raise BusError("the connection to the bus is closed")
        message = Message(
            destination=destination, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        try:
            reply = await asyncio.wait_for(self.call(message), seconds)
        except TimeoutError:
            raise BusError(f"{destination} gave no answer to {member} within {seconds:g} s") from None
        except (EOFError, OSError) as error:
            raise BusError(f"the bus closed the connection during {member}") from error
        except (SignatureBodyMismatchError, UnicodeEncodeError) as error:
            raise BusError(f"cannot put {member} on the bus: {error}") from error
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else "no reason given"
            raise SystemdError(text.rstrip(".").lower() if text.isupper() else text.rstrip("."), name=reply.error_name or "")
        return list(reply.body)

    async def post(self, to: tuple[str, str, str], member: str) -> None:
        """Call a method that sends no reply."""
        destination, path, interface = to
        await self.send(Message(destination=destination, path=path, interface=interface, member=member))

    async def watch(self, rule: str, handler: Handler) -> None:
        """Ask for the signals that match `rule`, and hand every message that comes to `handler`."""
        self.add_message_handler(handler)
        daemon = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        await self.request(daemon, "AddMatch", "s", [rule])

    async def close(self) -> None:
        """End the connection; dbus-next only shuts its socket down."""
        with suppress(Exception):
            if self.connected:
                self.disconnect()
                await asyncio.wait_for(self.wait_for_disconnect(), 1)
        with suppress(Exception):
            self._stream.close()
        self._sock.close()


async def connect(addresses: Sequence[str], owner: int | None = None) -> Bus:
    """Connect to the first address that answers and whose socket belongs to `owner`, where one is given. Raises BusError."""
    reasons = []
    for address in addresses:
        try:
            if owner is not None:
                _require_owner(address, owner)
            return await _connect(address)
        except (OSError, EOFError, AuthError, InvalidAddressError, BusError) as error:
            reasons.append(f"{_readable(address)}: {_reason(error)}")
    raise BusError(f"cannot reach the bus: {'; '.join(reasons)}")


async def _connect(address: str) -> Bus:
    bus = Bus(bus_address=address)
    try:
        await asyncio.wait_for(bus.connect(), CONNECT_SECONDS)
    except BaseException:
        bus._sock.close()  # noqa: SLF001 (our own class; the base leaves the socket open)
        raise
    return bus


def _require_owner(address: str, uid: int) -> None:
    path = next(
        (part.removeprefix("path=") for part in address.removeprefix("unix:").split(",") if part.startswith("path=")), ""
    )
    if not path:
        return
    owner = Path(unquote(path)).stat().st_uid
    if owner != uid:
        raise BusError(f"the socket belongs to uid {owner}")


def _readable(address: str) -> str:
    return unquote(address.removeprefix("unix:path="))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the connection was closed"


__all__ = ["Bus", "Message", "MessageType", "Variant", "connect", "user_bus_addresses"]
