"""The control groups of a process, read from /proc/PID/cgroup, which every user can read."""

from __future__ import annotations

from pathlib import Path


def paths(process: Path) -> tuple[str, ...]:
    """Return the paths of a process's control groups; `process` is its directory below /proc.

    A line is `0::/user.slice/…` for cgroup v2, and `1:name=systemd:/user.slice/…` for cgroup v1,
    with or without cgroup v2 (cgroups(7)). Raises OSError.
    """
    lines = (process / "cgroup").read_text("utf-8", "replace").splitlines()
    return tuple(line.split(":", 2)[2] for line in lines if line.count(":") >= 2)


def is_within(found: tuple[str, ...], control_group: str) -> bool:
    """Return whether one of the paths is `control_group`, in systemd's notation, or below it."""
    if not control_group:
        return False
    return any(path == control_group or path.startswith(f"{control_group}/") for path in found)
