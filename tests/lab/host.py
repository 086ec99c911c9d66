"""Requirements of a lab on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab import cgroups
from tests.lab.errors import LabError

_TOOLS = {"unshare": "util-linux", "setpriv": "util-linux", "mount": "mount"}


def require(lower: Path) -> None:
    """Raise LabError for the first requirement that is not met."""
    if os.geteuid() != 0:
        raise LabError("a lab needs root, because it creates mounts, namespaces and cgroups")
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise LabError(f"{tool} is not installed (Debian: {package})")
    cgroups.mount_point()
    if not _has_overlay():
        raise LabError("the kernel has no overlay file system (modprobe overlay)")
    if not (lower / "usr/lib/systemd/systemd").exists():
        raise LabError(
            f"there is no systemd in {lower} (Debian: systemd, libpam-systemd, dbus-user-session)"
        )
    if not (lower / "usr/bin/python3").exists():
        raise LabError(f"there is no /usr/bin/python3 in {lower}")


def _has_overlay() -> bool:
    if _overlay_known():
        return True
    if modprobe := shutil.which("modprobe"):
        subprocess.run([modprobe, "-q", "overlay"], check=False)
    return _overlay_known()


def _overlay_known() -> bool:
    return "overlay" in Path("/proc/filesystems").read_text().split()
