"""How far cgroup v2 controllers reach: the kernel, the configuration, the user manager's cgroup,
and a unit of the user.

Only the last decides. On systemd 257 `cgroup.controllers` of user@UID.service lists controllers
that its running manager does not pass on; so a unit with `Delegate=yes` is looked at: K3s's own
where it runs and lacks nothing, or else a transient one that is started for it and stopped.
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
_NOT_NEEDED = Unknown("nothing is lacking that it could explain")


def reach(
    manager: user.UserManager,
    uid: int,
    own: UnitState | None = None,
    mount: Path = Path("/sys/fs/cgroup"),
) -> ControllerReach:
    """Read the controllers in all four places; each can be unknown by itself.

    `own` is K3s's unit, if systemd reported it just now.

    The configuration is read only if a controller that the kernel offers reaches neither the user
    manager's cgroup nor a unit: it explains nothing else, and needs another connection, to the
    system bus.
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
    """Return what can be read without a user manager."""
    unknown = Unknown(reason)
    return ControllerReach(
        kernel=_controllers(mount), configured=unknown, realized=unknown, effective=unknown
    )


def only_reexecution_lacks(found: ControllerReach, needed: frozenset[str]) -> bool:
    """Return whether the manager's cgroup has what a unit is not given: `Manager.Reexecute` fixes
    that, without root.
    """
    if isinstance(found.effective, Unknown) or isinstance(found.realized, Unknown):
        return False
    return bool((needed - found.effective.value) & found.realized.value)


def _controllers(directory: Path) -> Observed[frozenset[str]]:
    path = directory / "cgroup.controllers"
    try:
        return Known(frozenset(path.read_text("ascii").split()), str(path))
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")


def _configured(uid: int) -> Observed[frozenset[str]]:
    name = f"user@{uid}.service"
    try:
        return Known(system.delegated(name), f"DelegateControllers of {name}")
    except BusError as error:
        return Unknown(error.message)


def _of_own(
    own: UnitState | None, offered: frozenset[str], mount: Path
) -> Known[frozenset[str]] | None:
    # A control group has what the one above it passes on at this moment (cgroups(7)); another unit
    # would be given no more.
    if own is None or not (own.running and own.delegate and own.control_group):
        return None
    found = _controllers(mount / own.control_group.lstrip("/"))
    if isinstance(found, Unknown) or not found.value >= offered:
        return None
    return Known(found.value, f"cgroup.controllers of {own.name}, which runs")


def _of_transient(manager: user.UserManager, mount: Path) -> Observed[frozenset[str]]:
    sleep = shutil.which("sleep", path=os.defpath + ":/run/current-system/sw/bin")
    if sleep is None:
        return Unknown("there is no `sleep` to start a transient unit with")
    name = f"k3s-rootless-check-{os.getpid()}-{os.urandom(4).hex()}.service"
    try:
        state = manager.start_transient(
            name,
            {
                "Description": ("s", "a look by k3s-rootless at which controllers a unit is given"),
                "Type": ("s", "exec"),
                "ExecStart": ("a(sasb)", [[sleep, [sleep, "infinity"], False]]),
                "Delegate": ("b", True),
                "KillSignal": ("i", 9),
                # If we are killed here, the unit still ends by itself and leaves nothing.
                "RuntimeMaxUSec": ("t", _PROBE_MICROSECONDS),
                "CollectMode": ("s", "inactive-or-failed"),
            },
        )
        try:
            found: Observed[frozenset[str]] = Unknown("no cgroup")
            if state.control_group:
                found = _controllers(mount / state.control_group.lstrip("/"))
        finally:
            # What was read counts, even if the unit has ended by itself meanwhile.
            with suppress(RootlessError):
                manager.stop(name)
    except RootlessError as error:
        return Unknown(f"a transient unit could not show it: {error.message}")
    if isinstance(found, Unknown):
        return found
    return Known(found.value, "cgroup.controllers of a transient unit with Delegate=yes")
