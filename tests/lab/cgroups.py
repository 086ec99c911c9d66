"""Cgroup of a lab, in the cgroup v2 hierarchy of the host.

The host may have cgroup v2 only, or also cgroup v1.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from pathlib import Path

from tests.lab.errors import LabError

WANTED = ("cpu", "cpuset", "memory", "pids")
"""Controllers that rootless K3s needs."""
_PATIENCE = 10.0


def mount_point() -> Path:
    """Return the mount point of cgroup2 on the host."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    raise LabError("no cgroup2 hierarchy is mounted on this host")


def create(name: str) -> Path:
    """Create the cgroup `name` with all controllers that the host can delegate."""
    top = mount_point()
    available = (top / "cgroup.controllers").read_text().split()
    for controller in (*WANTED, "io"):
        if controller in available:
            # Enable each controller separately: the host may refuse any of them, and the lab
            # reports the missing ones. They stay enabled afterwards, because other processes of the
            # host may use them by then.
            with suppress(OSError):
                (top / "cgroup.subtree_control").write_text(f"+{controller}")
    group = top / name
    group.mkdir()
    return group


def lacking(group: Path) -> tuple[str, ...]:
    """Return the controllers of `WANTED` that do not reach `group`."""
    present = (group / "cgroup.controllers").read_text().split()
    return tuple(controller for controller in WANTED if controller not in present)


def remove(group: Path) -> None:
    """Kill all processes in `group`, and remove it with all cgroups below it."""
    if not group.is_dir():
        return
    # Linux before 5.14 has no cgroup.kill. The processes then end with PID 1 of the lab.
    with suppress(FileNotFoundError):
        (group / "cgroup.kill").write_text("1")
    _wait_until_empty(group)
    for directory in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        directory.rmdir()
    group.rmdir()


def _wait_until_empty(group: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    with (group / "cgroup.events").open() as events:
        watch = select.poll()
        watch.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabError(f"processes in {group} do not end")
            watch.poll(left * 1000)
            events.seek(0)
