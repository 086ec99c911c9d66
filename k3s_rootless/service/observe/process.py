"""Reader of the environment and the run time of a process of the user."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from k3s_rootless.observation import Known, Observed, Unknown

_MOST_CHILDREN = 200
_START_TIME = 19
"""Index of the start time in the fields after the program name.

The start time is in clock ticks since boot (proc_pid_stat(5)).
"""


def started_with(
    pid: int, invocation: str = "", proc: Path = Path("/proc")
) -> Observed[Mapping[str, str]]:
    """Return the environment with which a process was started.

    `invocation` is the invocation ID of the unit. systemd reports a unit with Type=simple as
    running before the process executes the program. Until then, the process has the environment of
    the user manager, which has another invocation ID.

    K3s overwrites its own environment with its process title. In this case, the environment of its
    child slirp4netns is returned: rootlesskit, which is part of K3s, passes the environment on
    unchanged (rootlesskit pkg/network/slirp4netns; Go's os/exec without an Env).
    """
    if not pid:
        return Unknown("it is not running")
    own = _environ(pid, proc)
    if isinstance(own, Known):
        if invocation and own.value.get("INVOCATION_ID") != invocation:
            return Unknown(f"process {pid} has not executed the program of the unit yet")
        return own
    for child in _children(pid, proc):
        if _name(child, proc) != "slirp4netns":
            continue
        found = _environ(child, proc)
        if isinstance(found, Known):
            return found
    return own


def elapsed(pid: int, proc: Path = Path("/proc")) -> timedelta | None:
    """Return how long a process has run; None if that cannot be read.

    The clock is CLOCK_BOOTTIME, which cannot be set.
    """
    try:
        fields = (proc / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        begun = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return timedelta(seconds=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - begun))


def _environ(pid: int, proc: Path) -> Observed[Mapping[str, str]]:
    path = proc / str(pid) / "environ"
    try:
        data = path.read_bytes()
    except OSError as error:
        return Unknown(f"cannot read {path}: {(error.strerror or str(error)).lower()}")
    pairs = [pair.partition(b"=") for pair in data.split(b"\0") if b"=" in pair]
    # A process title may overwrite only a part of the environment. systemd sets these two variables
    # for each service.
    names = {name for name, _, _ in pairs}
    if not {b"PATH", b"INVOCATION_ID"} <= names:
        return Unknown(f"the process has overwritten {path}")
    decoded = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, _, value in pairs
    }
    return Known(decoded, str(path))


def _children(pid: int, proc: Path) -> list[int]:
    # The kernel lists the children of each thread separately.
    found = []
    for listing in (proc / str(pid) / "task").glob("*/children"):
        try:
            found += [int(word) for word in listing.read_text("ascii").split()]
        except (OSError, ValueError):
            continue
    return sorted(found)[:_MOST_CHILDREN]


def _name(pid: int, proc: Path) -> str:
    try:
        return (proc / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
