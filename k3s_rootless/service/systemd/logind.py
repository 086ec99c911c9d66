"""Lingering: whether the user manager, and K3s with it, outlives the last session; asked of and
told to systemd-logind.

A user may switch their own lingering without a password where polkit runs
(`org.freedesktop.login1.set-self-linger` allows anyone, systemd 230 and later); without polkit
logind refuses, and only an administrator can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k3s_rootless.errors import AdministratorNeeded, BusError, SystemdError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import linger_flag

_LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_REFUSALS = frozenset(
    {
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    }
)


def lingers(user: str, root: Path = Path("/")) -> Observed[bool]:
    """Tell whether the user lingers, by the file that logind itself goes by; any user may look."""
    flags = root / "var/lib/systemd/linger"
    flag = flags / linger_flag(user)
    try:
        flag.stat()
    except FileNotFoundError:
        return Known(value=False, source=str(flag))
    except OSError as error:
        return Unknown(f"{flags} cannot be looked into: {error.strerror}")
    return Known(value=True, source=str(flag))


def set_lingering(uid: int, user: str, *, on: bool) -> None:
    """Switch lingering.

    Raises AdministratorNeeded where logind refuses, BusError where it cannot be asked.
    """
    # Here, since it takes 17 ms, and `status` only looks whether there is a file.
    import asyncio

    try:
        asyncio.run(_ask("SetUserLinger", "ubb", [uid, on, False]))
    except SystemdError as error:
        if error.name not in _REFUSALS:
            raise
        verb = "enable" if on else "disable"
        raise AdministratorNeeded(
            f"cannot {verb} lingering of {user}: {error.message.lower()}",
            hint=f"give this to an administrator: sudo loginctl {verb}-linger {user}",
        ) from error
    except BusError as error:
        error.message = f"cannot ask systemd-logind: {error.message}"
        raise


async def _ask(member: str, signature: str, body: list[Any]) -> None:
    # Here, since `status` only looks whether there is a file.
    from k3s_rootless.service.systemd.bus import SYSTEM_BUS, connect

    bus = await connect([f"unix:path={SYSTEM_BUS}"])
    try:
        await bus.request(_LOGIND, member, signature, body)
    finally:
        await bus.close()
