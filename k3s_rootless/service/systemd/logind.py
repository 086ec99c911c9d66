"""Lingering, which keeps the user manager, and K3s with it, running after logout.

systemd-logind controls lingering. Where polkit runs, users can change their own lingering without a
password (`org.freedesktop.login1.set-self-linger` allows any user, systemd 230 and later). Without
polkit, logind refuses the change, and only an administrator can make it.
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
    """Return whether lingering is on for the user.

    The source is the file that logind itself reads; every user can see it.
    """
    flags = root / "var/lib/systemd/linger"
    flag = flags / linger_flag(user)
    try:
        flag.stat()
    except FileNotFoundError:
        return Known(value=False, source=str(flag))
    except OSError as error:
        return Unknown(f"cannot read {flags}: {error.strerror}")
    return Known(value=True, source=str(flag))


def set_lingering(uid: int, user: str, *, on: bool) -> None:
    """Turn lingering on or off.

    Raises AdministratorNeeded if logind refuses, BusError if logind cannot be reached.
    """
    # Imported here because asyncio takes 17 ms, and `status` only checks whether a file exists.
    import asyncio

    try:
        asyncio.run(_call("SetUserLinger", "ubb", [uid, on, False]))
    except SystemdError as error:
        if error.name not in _REFUSALS:
            raise
        verb = "enable" if on else "disable"
        raise AdministratorNeeded(
            f"cannot {verb} lingering for {user}: {error.message.lower()}",
            hint=f"ask an administrator to run: sudo loginctl {verb}-linger {user}",
        ) from error
    except BusError as error:
        error.message = f"cannot reach systemd-logind: {error.message}"
        raise


async def _call(member: str, signature: str, body: list[Any]) -> None:
    # Imported here because `status` only checks whether a file exists.
    from k3s_rootless.service.systemd.bus import SYSTEM_BUS, connect

    bus = await connect([f"unix:path={SYSTEM_BUS}"])
    try:
        await bus.request(_LOGIND, member, signature, body)
    finally:
        await bus.close()
