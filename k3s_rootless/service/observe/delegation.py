"""Reader of the cgroup v2 controllers at the four places between the kernel and a unit of the user.

The places are the kernel, the configuration, the cgroup of the user manager, and a unit. Only the
last one decides. On systemd 257, `cgroup.controllers` of user@UID.service lists controllers that
its running manager does not pass on. A unit with `Delegate=yes` is therefore read. This is the unit
of K3s if it runs and lacks no controller, and otherwise a transient unit that is started and
stopped for this purpose.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from k3s_rootless.errors import BusError, RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.service.facts import ControllerReach, UnitState
from k3s_rootless.service.systemd import system, user

_PROBE_MICROSECONDS = 15_000_000
_SHARED_OUT = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
_NOT_NEEDED = Unknown("not read, because no controller is missing")


def reach(
    manager: user.UserManager,
    uid: int,
    own: UnitState | None = None,
    mount: Path = Path("/sys/fs/cgroup"),
) -> ControllerReach:
    """Read the controllers at all four places; each can be unknown.

    `own` is the unit of K3s, if systemd has just reported it.

    The configuration is read only if a controller that the kernel offers does not reach the cgroup
    of the user manager or a unit. In other cases it explains nothing, and it needs another
    connection, to the system bus.
    """
    kernel = _controllers(mount)
    realized = _controllers(mount / manager.control_group.lstrip("/"))
    offered = _SHARED_OUT
    if isinstance(kernel, Known):
        offered = kernel.value & _SHARED_OUT
    effective = _of_own(own, offered, mount) or _of_transient(manager, mount)
    lacking = offered.difference(
        *(found.value for found in (realized, effective) if isinstance(found, Known))
    )
    configured: Observed[frozenset[str]] = _NOT_NEEDED
    if lacking:
        configured = _configured(uid)
    return ControllerReach(kernel, configured, realized, effective)


def unreachable(reason: str, mount: Path = Path("/sys/fs/cgroup")) -> ControllerReach:
    """Return the controllers that can be read without a user manager."""
    unknown = Unknown(reason)
    return ControllerReach(
        kernel=_controllers(mount), configured=unknown, realized=unknown, effective=unknown
    )


def only_reexecution_lacks(found: ControllerReach, needed: frozenset[str]) -> bool:
    """Return whether the cgroup of the manager has a needed controller that a unit does not get.

    `Manager.Reexecute` fixes this without root.
    """
    if isinstance(found.effective, Unknown) or isinstance(found.realized, Unknown):
        return False
    return bool((needed - found.effective.value) & found.realized.value)


def _controllers(directory: Path) -> Observed[frozenset[str]]:
    path = directory / "cgroup.controllers"
    try:
        return Known(frozenset(path.read_text("ascii").split()), str(path))
    except OSError as error:
        return Unknown(f"cannot read {path}: {error.strerror}")


def _configured(uid: int) -> Observed[frozenset[str]]:
    name = f"user@{uid}.service"
    try:
        return Known(system.delegated(name), f"DelegateControllers of {name}")
    except BusError as error:
        return Unknown(error.message)


def _of_own(
    own: UnitState | None, offered: frozenset[str], mount: Path
) -> Known[frozenset[str]] | None:
    # A control group has the controllers that its parent passes on at this moment (cgroups(7));
    # another unit would not get more.
    if own is None or not (own.running and own.delegate and own.control_group):
        return None
    found = _controllers(mount / own.control_group.lstrip("/"))
    if isinstance(found, Unknown) or not found.value >= offered:
        return None
    return Known(found.value, f"cgroup.controllers of {own.name}, which is running")


def _of_transient(manager: user.UserManager, mount: Path) -> Observed[frozenset[str]]:
    sleep = shutil.which("sleep", path=os.defpath + ":/run/current-system/sw/bin")
    if sleep is None:
        return Unknown("cannot start a transient unit: `sleep` was not found")
    name = f"k3s-rootless-check-{os.getpid()}-{os.urandom(4).hex()}.service"
    try:
        state = manager.start_transient(
            name,
            {
                "Description": ("s", "k3s-rootless: check which cgroup controllers a unit has"),
                "Type": ("s", "exec"),
                "ExecStart": ("a(sasb)", [[sleep, [sleep, "infinity"], False]]),
                "Delegate": ("b", True),
                "KillSignal": ("i", 9),
                # If this process is killed here, the unit ends after this time and is removed.
                "RuntimeMaxUSec": ("t", _PROBE_MICROSECONDS),
                "CollectMode": ("s", "inactive-or-failed"),
            },
        )
        try:
            found: Observed[frozenset[str]] = Unknown("the transient unit has no cgroup")
            if state.control_group:
                found = _controllers(mount / state.control_group.lstrip("/"))
        finally:
            # The controllers that were read count, even if the unit has already ended.
            with suppress(RootlessError):
                manager.stop(name)
    except RootlessError as error:
        return Unknown(f"cannot check it with a transient unit: {error.message}")
    if isinstance(found, Unknown):
        return found
    return Known(found.value, "cgroup.controllers of a transient unit with Delegate=yes")
