"""One look at the user manager by systemd's own client, `busctl` (systemd 240 and later), which
works while this process loads.

For a command that asks the user manager a single question: loading asyncio and dbus-next takes 50
ms, a quarter of what `ports` took, and busctl 8 ms on another core
(docs/explanation/performance.md). Whatever it does not answer, `systemd` is to ask.
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
    """Give what the manager on the bus in `runtime` knows of a unit, or None where it did not say
    in `SECONDS`.

    A bus of somebody else is not asked; nor is one that only the environment names.
    """
    printed = _asked(
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
    """Give what that manager hands to each of its units, or None, as `unit` does."""
    printed = _asked(
        runtime, "get-property", _MANAGER, "org.freedesktop.systemd1.Manager", "Environment"
    )
    if printed is None:
        return None
    # Here, since it takes 5 ms, in which busctl asks.
    from k3s_rootless.service.systemd import properties

    try:
        return properties.environment([str(one) for one in json.loads(printed)["data"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _asked(runtime: Path, verb: str, *words: str) -> str | None:
    bus = runtime / "bus"
    try:
        if bus.lstat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    # As the specification of D-Bus wants addresses escaped ("Server Addresses").
    path = re.sub(
        rb"[^-0-9A-Za-z_/.]", lambda found: b"%%%02x" % ord(found[0]), os.fsencode(bus)
    ).decode()
    address = f"unix:path={path}"
    asked = (verb, "org.freedesktop.systemd1", *words)
    try:
        output = command.run(
            ("busctl", f"--address={address}", "--json=short", *asked), timeout=SECONDS
        )
    except CommandFailed:
        return None
    return output.stdout if output.status == 0 else None


def escaped(name: str) -> str:
    """Give a unit's name as part of an object path: in hex what is no letter, or a digit at its
    front (bus-label.c).
    """
    return re.sub(
        rb"^[0-9]|[^0-9A-Za-z]", lambda found: b"_%02x" % ord(found[0]), name.encode()
    ).decode()


def _read(name: str, printed: str) -> UnitState | None:
    # Here, since it takes 5 ms, in which busctl asks.
    from k3s_rootless.service.systemd import properties

    try:
        (values,) = json.loads(printed)["data"]
        return properties.unit_state(name, {key: one["data"] for key, one in values.items()})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
