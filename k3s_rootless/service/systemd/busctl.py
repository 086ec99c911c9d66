"""Queries of the user manager through `busctl`, the client of systemd (systemd 240 and later).

This module is for a command that makes a single query. To load asyncio and dbus-next takes 50 ms, a
quarter of the time that `ports` took; busctl takes 8 ms on another core while this process loads
(docs/explanation/performance.md). If busctl returns no answer, the caller must query
systemd over D-Bus instead.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed

if TYPE_CHECKING:
    from k3s_rootless.service.facts import UnitState

SECONDS = 1.0
_MANAGER = "/org/freedesktop/systemd1"
_UNITS = f"{_MANAGER}/unit/"


def unit(name: str, runtime: Path) -> UnitState | None:
    """Return the state of a unit on the bus in `runtime`; None if there is no answer.

    The time limit is `SECONDS`. A bus of another user is not queried, and neither is a bus that
    only the environment names.
    """
    printed = _query(
        runtime,
        "call",
        _UNITS + escaped(name),
        "org.freedesktop.DBus.Properties",
        "GetAll",
        "s",
        "",
    )
    return None if printed is None else _read(name, printed)


def environment(runtime: Path) -> dict[str, str] | None:
    """Return the environment that this manager passes to each unit.

    Returns None under the same conditions as `unit`.
    """
    printed = _query(
        runtime, "get-property", _MANAGER, "org.freedesktop.systemd1.Manager", "Environment"
    )
    if printed is None:
        return None
    # Imported here because the import takes 5 ms, which would delay the start of busctl.
    from k3s_rootless.service.systemd import properties

    try:
        return properties.environment([str(one) for one in json.loads(printed)["data"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _query(runtime: Path, verb: str, *arguments: str) -> str | None:
    bus = runtime / "bus"
    try:
        if bus.lstat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    # Escaped as the D-Bus specification requires ("Server Addresses").
    path = re.sub(
        rb"[^-0-9A-Za-z_/.]", lambda found: b"%%%02x" % ord(found[0]), os.fsencode(bus)
    ).decode()
    address = f"unix:path={path}"
    request = (verb, "org.freedesktop.systemd1", *arguments)
    try:
        output = command.run(
            ("busctl", f"--address={address}", "--json=short", *request), timeout=SECONDS
        )
    except CommandFailed:
        return None
    return output.stdout if output.status == 0 else None


def escaped(name: str) -> str:
    """Return the name of a unit as part of an object path.

    A character that is not an ASCII letter or digit is written in hexadecimal, and so is a digit at
    the beginning (bus-label.c).
    """
    return re.sub(
        rb"^[0-9]|[^0-9A-Za-z]", lambda found: b"_%02x" % ord(found[0]), name.encode()
    ).decode()


def _read(name: str, printed: str) -> UnitState | None:
    # Imported here because the import takes 5 ms, which would delay the start of busctl.
    from k3s_rootless.service.systemd import properties

    try:
        (values,) = json.loads(printed)["data"]
        return properties.unit_state(name, {key: one["data"] for key, one in values.items()})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
