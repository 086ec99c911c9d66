"""Probes of what surrounds the user: session, limits, services beside K3s, and the machine.

They read below the given root: /etc, /proc, /run and /sys. They read the clock with adjtimex(2),
which changes nothing if no mode is set.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path

from k3s_rootless.linux import mounts
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.probes import devices, files
from k3s_rootless.preflight.records import Caller, Machine, Process, Surroundings

_SERVICES = ("firewalld", "k3s", "k3s-agent", "nm-cloud-setup", "systemd-resolved")
_FILES = (
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/systemd/system/k3s.service",
    "/etc/systemd/system/k3s-agent.service",
)
# The cgroups of system services are below one of these paths: cgroup v2 alone, or beside v1.
_GROUPS = (
    "sys/fs/cgroup/system.slice",
    "sys/fs/cgroup/systemd/system.slice",
    "sys/fs/cgroup/unified/system.slice",
)
_CLOCK_UNSYNCHRONIZED = 5
_DAY = 86400.0


def caller(root: Path, environ: Mapping[str, str]) -> Observed[Caller]:
    """Return the user who called sudo, and the cgroup of this process."""
    path = root / "proc/self/cgroup"
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")
    groups = [
        line.split(":", 2)[2]
        for line in lines
        if line.startswith("0::") or ":name=systemd:" in line
    ]
    own = next((group for group in groups if group != "/"), "")
    if groups and not own:
        own = "/"
    return Known(Caller(environ.get("SUDO_USER", ""), own), str(path))


def process(root: Path, groups: tuple[Path, ...], control_group: str) -> Observed[Process]:
    """Read what the user manager passes on to its units, from its own process.

    `control_group` is the cgroup of the user manager.
    """
    try:
        words = [
            line.split() for line in (root / "proc/self/uid_map").read_text("ascii").splitlines()
        ]
        id_map = tuple((int(row[0]), int(row[1]), int(row[2])) for row in words if len(row) == 3)
        pid = _manager(groups, control_group) or "self"
        status = (root / "proc" / pid / "status").read_text("utf-8", "replace").splitlines()
        limits = (root / "proc" / pid / "limits").read_text("utf-8", "replace").splitlines()
    except (OSError, ValueError) as error:
        return Unknown(f"the process of the user manager cannot be read: {error}")
    return Known(
        Process(
            no_new_privileges="NoNewPrivs:\t1" in status,
            open_files=_open_files(limits),
            tasks=_tasks(groups, control_group),
            id_map=id_map,
        ),
        f"/proc/{pid}",
    )


def _open_files(limits: list[str]) -> int | None:
    """Return the hard limit of open files; None if there is no limit."""
    for line in limits:
        if line.startswith("Max open files"):
            hard = line[26:].split()[1]
            return int(hard) if hard.isdecimal() else None
    return None


def _manager(groups: tuple[Path, ...], control_group: str) -> str:
    if not control_group:
        return ""
    for group in groups:
        processes = files.text(
            group / control_group.lstrip("/") / "init.scope/cgroup.procs"
        ).split()
        if processes:
            return processes[0]
    return ""


def _tasks(groups: tuple[Path, ...], control_group: str) -> int | None:
    above = Path(control_group.lstrip("/")).parent
    limits = [files.text(group / above / "pids.max").strip() for group in groups if control_group]
    return next((int(limit) for limit in limits if limit.isdecimal()), None)


def surroundings(root: Path, config: str) -> Observed[Surroundings]:
    """Read running services and K3s's files; `config` is its configuration file, empty if none."""
    running = frozenset(
        name
        for name in _SERVICES
        if any((root / group / f"{name}.service").is_dir() for group in _GROUPS)
    )
    present = frozenset(path for path in _FILES if (root / path.lstrip("/")).exists())
    tried: dict[str, int] = {}
    for path in _configuration(root, config):
        found = devices.opened(path)
        if isinstance(found, Unknown):
            return found
        if found.value != 2:  # ENOENT: K3s skips a missing file
            tried[str(path)] = found.value
    ufw = "ENABLED=yes" in files.text(root / "etc/ufw/ufw.conf").split()
    return Known(Surroundings(running, present, tried, ufw), "/sys/fs/cgroup and /etc")


def _configuration(root: Path, config: str) -> list[Path]:
    """Return the configuration files of K3s; if their directory is unreadable, the directory."""
    if not config:
        return []
    main = root / config.lstrip("/")
    more = main.with_name(f"{main.name}.d")
    try:
        names = sorted(one.name for one in more.iterdir())
    except FileNotFoundError:
        return [main]
    except OSError:
        return [main, more]
    return [main, *(more / name for name in names if name.endswith((".yaml", ".yml")))]


def machine(root: Path, program: str | None) -> Observed[Machine]:
    """Read the properties of the host; the clock is compared with the age of `program` (k3s)."""
    memory = {
        line.partition(":")[0]: line.split()[1]
        for line in files.text(root / "proc/meminfo").splitlines()
        if ":" in line
    }
    kernel = files.text(root / "proc/sys/kernel/osrelease").lower()
    return Known(
        Machine(
            available=int(memory.get("MemAvailable", "0")) * 1024,
            processors=os.cpu_count() or 0,
            hostname=files.text(root / "proc/sys/kernel/hostname").strip() or os.uname().nodename,
            synchronized=_synchronized(),
            early=_younger(program, root / "etc/os-release"),
            container=_container(root),
            wsl="microsoft" in kernel,
            selinux=_selinux(root),
            hidepid=_hidepid(root),
            journal=(root / "var/log/journal").is_dir(),
        ),
        "/proc and /sys",
    )


def _selinux(root: Path) -> bool | None:
    """Return whether SELinux enforces its policy; None without SELinux."""
    enforce = files.text(root / "sys/fs/selinux/enforce").strip()
    if not enforce:
        return None
    return enforce == "1"


def _hidepid(root: Path) -> str:
    """Return the option `hidepid` of /proc; empty if all processes are visible."""
    hidden = ""
    for mount in mounts.mounts(root):
        if mount.point != "/proc":
            continue
        hidden = ""  # the last mount hides the earlier ones
        for option in mount.super_options.split(","):
            if option.startswith("hidepid="):
                hidden = option.partition("=")[2]
                break
    if hidden in {"0", "off"}:
        return ""
    return hidden


def _synchronized() -> bool:
    # struct timex begins with `modes`. If no mode is set, adjtimex(2) changes nothing and needs no
    # privilege.
    timex = ctypes.create_string_buffer(512)
    return int(ctypes.CDLL(None).adjtimex(timex)) != _CLOCK_UNSYNCHRONIZED


def _younger(*paths: str | Path | None) -> str:
    """Return the first file that is more than a day newer than the clock; empty if none is."""
    tomorrow = time.time() + _DAY
    for path in paths:
        try:
            if path and Path(path).stat().st_mtime > tomorrow:
                return str(path)
        except OSError:
            continue
    return ""


def _container(root: Path) -> str:
    found = files.text(root / "run/systemd/container").strip()
    if found:
        return found
    marks = {"docker": ".dockerenv", "podman": "run/.containerenv"}
    return next((name for name, mark in marks.items() if (root / mark).exists()), "")
