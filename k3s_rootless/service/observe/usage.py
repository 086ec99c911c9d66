"""What K3s uses, by systemd's accounting, and where that says nothing by the control group itself
(cgroups(7), version 2).
"""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.service.facts import UnitState, Usage

MOUNT = Path("/sys/fs/cgroup")


def of(state: UnitState | None, group: str, mount: Path = MOUNT) -> Usage:
    """Look; `group` is the control group, such as `/user.slice/…/k3s-rootless.service`, or empty
    where it is not known.

    systemd tells the peak since version 254, and the kernel since 5.19.
    """
    here = mount / group.lstrip("/") if group else None
    memory = state.memory if state else None
    peak = state.memory_peak if state else None
    cpu = state.cpu if state else None
    return Usage(
        memory=_number(here, "memory.current") if memory is None else memory,
        memory_peak=_number(here, "memory.peak") if peak is None else peak,
        memory_limit=(
            state.memory_limit if state and state.memory_limit else _number(here, "memory.max")
        ),
        cpu=_cpu_seconds(here) if cpu is None else cpu,
        cpu_limit=state.cpu_limit if state and state.cpu_limit else _cpus(here),
    )


def group_of(pid: int, unit: str, proc: Path = Path("/proc")) -> str:
    """Give the control group of `unit` that a process is in, or below; empty where it is in
    none.
    """
    for line in _words(proc / str(pid) / "cgroup", "\n"):
        inside, found, _ = line.removeprefix("0::").partition(f"/{unit}")
        if line.startswith("0::") and found:
            return f"{inside}{found}"
    return ""


def _number(here: Path | None, name: str) -> int | None:
    text, *_ = _words(here / name) or [""] if here else [""]
    return int(text) if text.isdecimal() else None


def _cpu_seconds(here: Path | None) -> float | None:
    words = _words(here / "cpu.stat") if here else []
    named = dict(zip(words[::2], words[1::2], strict=False))
    return int(used) / 1e6 if (used := named.get("usage_usec", "")).isdecimal() else None


def _cpus(here: Path | None) -> float | None:
    # `50000 100000`: microseconds of each period; or `max 100000`.
    words = _words(here / "cpu.max") if here else []
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdecimal() else None


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split(separator)
    except OSError:
        return []
