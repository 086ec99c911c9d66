"""The transient units of `run`: K3s in the foreground, and the watch that stops it.

The watch is a process that waits for a lock. The process of `run` holds this lock, so the kernel
ends the wait when that process ends, even by SIGKILL. systemd then stops K3s, because its unit is
bound to the watch. Such a watch needs no other property of the process: neither its terminal nor
its control group, which a scope would have to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.service.unit import transient

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.unit.transient import Properties

WATCH = "k3s-rootless-run-watch.service"
STOP_SECONDS = 60
"""Time limit for the stop of K3s; systemd then kills its processes.

K3s's own unit has no limit, but the user waits at a terminal.
"""
_INFINITY = 2**64 - 1
_UNLIMITED = ("LimitNPROC", "LimitCORE", "LimitNOFILE", "TasksMax")
"""The limits that K3s's own unit sets to infinity."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The paths of the programs that the units run besides K3s."""

    flock: str
    true: str
    remove: str


def server(planned: UnitState, lock: Path, programs: Programs) -> Properties:
    """Return the properties of the unit that runs K3s, with their D-Bus signatures.

    The unit removes the file `lock` when K3s has stopped.
    """
    limits = {name: value for name, value in planned.limits.items() if value is not None}
    return {
        **transient.inherited(planned),
        "Description": ("s", "K3s in the foreground, started by k3s-rootless run"),
        "Type": ("s", "simple"),
        "ExecStart": transient.command(planned.argv),
        "ExecStopPost": transient.command((programs.remove, "-f", str(lock))),
        "KillMode": ("s", "mixed"),
        "TimeoutStopUSec": ("t", STOP_SECONDS * 1_000_000),
        **{name: ("t", limits.get(name, _INFINITY)) for name in (*_UNLIMITED, *limits)},
        "BindsTo": ("as", [WATCH]),
        "After": ("as", [WATCH]),
        # The unit disappears after its end. `run` keeps it as long as it is connected to the bus,
        # so that it can read how K3s ended.
        "CollectMode": ("s", "inactive-or-failed"),
        "AddRef": ("b", True),
    }


def watch(lock: Path, programs: Programs) -> Properties:
    """Return the properties of the unit that ends when the lock is free."""
    return {
        "Description": ("s", "Stops K3s when k3s-rootless run ends"),
        "Type": ("s", "exec"),
        "ExecStart": transient.command((programs.flock, "--shared", str(lock), programs.true)),
        "CollectMode": ("s", "inactive-or-failed"),
    }
