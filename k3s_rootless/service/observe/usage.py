"""Reader of the resource usage of K3s.

The source is the accounting of systemd. If systemd reports no value, the source is the control
group itself (cgroups(7), version 2).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from k3s_rootless.service.facts import UnitState, Usage

T = TypeVar("T")
MOUNT = Path("/sys/fs/cgroup")


def of(state: UnitState | None, group: str, mount: Path = MOUNT) -> Usage:
    """Return the resource usage of K3s.

    `group` is the path of its control group, such as `/user.slice/…/k3s-rootless.service`, or empty
    if that is not known. systemd reports the peak since version 254, and the kernel since 5.19.
    """
    accounted = _accounted(state)
    if not group:
        return accounted
    here = mount / group.lstrip("/")
    return Usage(
        memory=_first(accounted.memory, lambda: _number(here, "memory.current")),
        memory_peak=_first(accounted.memory_peak, lambda: _number(here, "memory.peak")),
        memory_limit=_first(accounted.memory_limit, lambda: _number(here, "memory.max")),
        cpu=_first(accounted.cpu, lambda: _cpu_seconds(here)),
        cpu_limit=_first(accounted.cpu_limit, lambda: _cpus(here)),
    )


def group_of(pid: int, unit: str, proc: Path = Path("/proc")) -> str:
    """Return the control group of `unit` to which a process belongs; empty if there is none.

    The process may be in a group below it.
    """
    for line in _words(proc / str(pid) / "cgroup", "\n"):
        inside, found, _ = line.removeprefix("0::").partition(f"/{unit}")
        if line.startswith("0::") and found:
            return f"{inside}{found}"
    return ""


def _accounted(state: UnitState | None) -> Usage:
    """Return the usage that systemd reports; a limit of 0 means no limit."""
    if state is None:
        return Usage()
    return Usage(
        memory=state.memory,
        memory_peak=state.memory_peak,
        memory_limit=state.memory_limit or None,
        cpu=state.cpu,
        cpu_limit=state.cpu_limit or None,
    )


def _first(known: T | None, read: Callable[[], T | None]) -> T | None:
    return read() if known is None else known


def _number(here: Path, name: str) -> int | None:
    words = _words(here / name)
    if not words or not words[0].isdecimal():
        return None
    return int(words[0])


def _cpu_seconds(here: Path) -> float | None:
    words = _words(here / "cpu.stat")
    named = dict(zip(words[::2], words[1::2], strict=False))
    used = named.get("usage_usec", "")
    if not used.isdecimal():
        return None
    return int(used) / 1e6


def _cpus(here: Path) -> float | None:
    # The file contains `50000 100000`, quota and period in microseconds, or `max 100000`.
    words = _words(here / "cpu.max")
    if len(words) != 2 or not words[0].isdecimal():
        return None
    return int(words[0]) / int(words[1])


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split(separator)
    except OSError:
        return []
