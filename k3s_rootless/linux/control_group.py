"""The control groups of a process, as /proc/PID/cgroup lists them; every user may read that
file.
"""

from __future__ import annotations

from pathlib import Path


def paths(process: Path) -> tuple[str, ...]:
    """Return the paths of a process's control groups; `process` is its directory below /proc.

    A line reads `0::/user.slice/…` under cgroup v2, and beside or without cgroup v2
    `1:name=systemd:/user.slice/…` (cgroups(7)). Raises OSError.
    """
    lines = (process / "cgroup").read_text("utf-8", "replace").splitlines()
    return tuple(line.split(":", 2)[2] for line in lines if line.count(":") >= 2)


def is_within(found: tuple[str, ...], control_group: str) -> bool:
    """Return whether one of the paths is `control_group`, as systemd names it, or below it."""
    if not control_group:
        return False
    return any(path == control_group or path.startswith(f"{control_group}/") for path in found)
