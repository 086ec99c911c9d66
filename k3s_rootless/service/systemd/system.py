"""Client of the system manager, systemd as PID 1, which any user can query."""

from __future__ import annotations

import asyncio
from typing import Any

from k3s_rootless.errors import SystemdError
from k3s_rootless.service.systemd.bus import SYSTEM_BUS, connect

_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = (_SYSTEMD, "/org/freedesktop/systemd1", f"{_SYSTEMD}.Manager")
_PROPERTIES = "org.freedesktop.DBus.Properties"


def delegated(name: str) -> frozenset[str]:
    """Return the controllers that the system manager is configured to delegate to a unit.

    Raises BusError.
    """
    return frozenset(asyncio.run(_property(name, "Service", "DelegateControllers")))


def active(name: str) -> bool:
    """Return whether a system unit is active; False if the unit is not loaded.

    Raises SystemdError, BusError.
    """
    try:
        return bool(asyncio.run(_property(name, "Unit", "ActiveState")) == "active")
    except SystemdError as error:
        if error.name == f"{_SYSTEMD}.NoSuchUnit":
            return False
        raise


async def _property(unit: str, interface: str, name: str) -> Any:  # noqa: ANN401 (any D-Bus type)
    bus = await connect([f"unix:path={SYSTEM_BUS}"])
    try:
        (path,) = await bus.request(_MANAGER, "GetUnit", "s", [unit], returns="o")
        to = (_SYSTEMD, path, _PROPERTIES)
        (found,) = await bus.request(
            to, "Get", "ss", [f"{_SYSTEMD}.{interface}", name], returns="v"
        )
    finally:
        await bus.close()
    return found.value
