"""D-Bus connection that works around defects of dbus-next 0.2.3.

Only this module imports dbus-next. Its release of 2021 has these defects:

- it loops without end if the peer closes the connection during authentication;
- it waits for a reply without a time limit;
- it accepts calls after a disconnect;
- it connects to one address only;
- Python 3.15 cannot import it, because Python 3.15 removed a decorator that it uses.

This module avoids each of them. Every call has a time limit and ends with a reply or a BusError.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from k3s_rootless.errors import BusError, SystemdError

if not hasattr(typing, "no_type_check_decorator"):
    setattr(typing, "no_type_check_decorator", lambda decorator: decorator)  # noqa: B010 (no type)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from dbus_next import Message, MessageType, Variant
    from dbus_next.aio import MessageBus
    from dbus_next.errors import AuthError, InvalidAddressError, SignatureBodyMismatchError

CONNECT_SECONDS = 5.0
CALL_SECONDS = 10.0
LOST_HINT = "check the user manager with: systemctl --user status"
_LONGEST_LINE = 16384
# `struct ucred` of unix(7): a pid, a uid and a gid. uid and gid are unsigned, at most 2^32 - 2.
_UCRED = struct.Struct("iII")
_AUTH_COMMANDS = frozenset({"OK", "REJECTED", "DATA", "ERROR", "AGREE_UNIX_FD"})
SYSTEM_BUS = "/run/dbus/system_bus_socket"

Handler = Callable[[Message], None]


def user_bus_addresses(environ: Mapping[str, str], runtime: Path) -> list[str]:
    """Return the addresses of the user bus in the order in which to try them.

    The addresses of the environment come first, then the bus of the user manager in `runtime`.
    """
    # The guid is removed, because it is not checked here, and the same bus must not be tried twice.
    given = re.sub(r",guid=[^,;]*", "", environ.get("DBUS_SESSION_BUS_ADDRESS", "")).split(";")
    own = "unix:path=" + quote(os.fsencode(runtime / "bus"), safe="/-_.").replace("~", "%7E")
    return list(
        dict.fromkeys(
            [address for address in given if address.startswith("unix:") and "=" in address] + [own]
        )
    )


class Bus(MessageBus):  # type: ignore[misc]
    """A connection to a message bus, with its calls and signals."""

    def __init__(self, address: str) -> None:
        super().__init__(bus_address=address)
        self._watched: set[str] = set()
        self.on_loss: Callable[[], None] = _nothing

    def _setup_socket(self) -> None:
        # dbus-next waits without a limit for a bus that accepts no connection, and leaves the
        # socket open if the connection fails.
        options = self._bus_address[0][1]
        if "path" not in options and "abstract" not in options:
            raise InvalidAddressError("the address has neither a path nor an abstract name")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(CONNECT_SECONDS), 0)
            )
            self._sock.connect(options["path"] if "path" in options else f"\0{options['abstract']}")
            self._sock.setblocking(False)  # noqa: FBT003 (API of socket)
        except BaseException:
            self._sock.close()
            raise
        self._stream = self._sock.makefile("rwb")
        self._fd = self._sock.fileno()

    def _finalize(self, err: Exception | None = None) -> None:
        # Every error that breaks the connection, invalid data included, ends all waiting calls in
        # the same way.
        if err is not None and not isinstance(err, EOFError | OSError):
            err = OSError(f"the bus sent an invalid message: {err}")
        super()._finalize(err)
        self.on_loss()
        if self._disconnect_future.done():
            # Otherwise asyncio prints on stderr that the exception was never retrieved.
            self._disconnect_future.exception()

    def send(self, msg: Message) -> asyncio.Future[None]:
        """Send a message and return a future of it.

        If the caller does not await the future, an error is ignored, and asyncio prints no warning.
        """
        sent: asyncio.Future[None] = super().send(msg)
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())
        return sent

    async def call(self, msg: Message) -> Any:  # noqa: ANN401 (as in dbus-next)
        """Send a method call and return its reply.

        Raises EOFError if the connection is closed: dbus-next would wait for a reply for ever if
        the connection was lost in the turn of the event loop before the call.
        """
        if not self.connected:
            raise EOFError("the connection is closed")
        return await super().call(msg)

    async def open(self, owner: int | None) -> None:
        """Authenticate and send Hello.

        Raises BusError if the process that listens on the socket does not belong to the uid
        `owner`, or if the bus rejects Hello.
        """
        credentials = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, listener, _ = _UCRED.unpack(credentials)
        if owner is not None and listener != owner:
            raise BusError(f"the socket belongs to uid {listener}")
        await asyncio.wait_for(self.connect(), CONNECT_SECONDS)
        if not self.unique_name.startswith(":"):
            # If the reply to Hello is an error, dbus-next uses the text of the error as the unique
            # name.
            raise BusError(f"the bus rejected the call Hello: {self.unique_name}")

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            # Read one byte at a time: the bytes after the last line belong to the messages.
            byte = await self._loop.sock_recv(self._sock, 1)
            if not byte:
                raise AuthError("the bus closed the connection during authentication")
            line += byte
            if len(line) > _LONGEST_LINE:
                raise AuthError("the bus sent an authentication line that is too long")
        text = line[:-2].decode("ascii", "replace")
        if text.split(" ")[0] not in _AUTH_COMMANDS:
            raise AuthError(f"the bus sent an unknown authentication reply: {text[:80]!r}")
        return text

    async def request(
        self,
        to: tuple[str, str, str],
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        seconds: float = CALL_SECONDS,
        returns: str = "",
    ) -> list[Any]:
        """Call a method and return the body of the reply.

        `to` is the destination, the object path and the interface; `returns` is the expected
        signature of the reply. `seconds` limits the time of the call.

        Raises SystemdError for an error reply. Raises BusError if there is no reply in time, if the
        reply has another signature, or if the connection is closed.
        """
        destination, path, interface = to
        if not self.connected:
            raise BusError("the connection to the bus is closed", hint=LOST_HINT)
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            reply = await asyncio.wait_for(self.call(message), seconds)
        except TimeoutError:
            raise BusError(
                f"{destination} did not reply to {member} within {seconds:g} s", hint=LOST_HINT
            ) from None
        except (EOFError, OSError) as error:
            raise BusError(
                f"the bus closed the connection during {member}", hint=LOST_HINT
            ) from error
        except (SignatureBodyMismatchError, UnicodeEncodeError) as error:
            raise BusError(f"cannot send {member} on the bus: {error}") from error
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else "no reason given"
            raise SystemdError(
                text.rstrip(".").lower() if text.isupper() else text.rstrip("."),
                name=reply.error_name or "",
            )
        if reply.signature != returns:
            raise BusError(
                f"{destination} replied to {member} with the type `{reply.signature}` instead of"
                f" `{returns}`"
            )
        return list(reply.body)

    async def watch(self, rule: str, handler: Handler) -> None:
        """Subscribe once to the signals that match `rule`.

        `handler` receives every message on this connection, not only these signals.
        """
        if rule in self._watched:
            return
        daemon = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        await self.request(daemon, "AddMatch", "s", [rule])
        if handler not in self._user_message_handlers:
            self.add_message_handler(handler)
        self._watched.add(rule)

    async def close(self) -> None:
        """Close the connection.

        dbus-next itself only shuts the socket down.
        """
        with suppress(Exception):
            if self.connected:
                self.disconnect()
                await asyncio.wait_for(self.wait_for_disconnect(), 1)
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with suppress(Exception):
            self._stream.close()
        self._sock.close()


async def connect(addresses: Sequence[str], owner: int | None = None) -> Bus:
    """Connect to the first address that works.

    If `owner` is given, the process that listens there must belong to this uid. Raises BusError.
    """
    reasons = []
    for address in addresses:
        try:
            return await _connect(address, owner)
        except (OSError, EOFError, AuthError, InvalidAddressError, BusError) as error:
            reasons.append(f"{_readable(address)}: {_reason(error)}")
    raise BusError(f"cannot reach the bus: {'; '.join(reasons)}")


async def _connect(address: str, owner: int | None) -> Bus:
    bus = Bus(address)
    try:
        await bus.open(owner)
    except BaseException:
        await bus.close()
        raise
    return bus


def _nothing() -> None:
    """Do nothing when the connection is lost."""


def _readable(address: str) -> str:
    return unquote(address.removeprefix("unix:path="))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | BlockingIOError):
        return f"no reply within {CONNECT_SECONDS:g} s"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the connection was closed"


__all__ = ["Bus", "Message", "MessageType", "Variant", "connect", "user_bus_addresses"]
