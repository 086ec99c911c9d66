"""Reads what surrounds the user: ids, session, limits, services beside K3s, and the machine itself.

Each below the given root: /etc, /proc, /run, /sys; clock by adjtimex(2), which with no mode only
looks.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path

from k3s_rootless.linux import mounts
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import SubidFiles, SubidRange
from k3s_rootless.preflight.probes import devices
from k3s_rootless.preflight.records import Beside, Caller, Machine, Process

_SERVICES = ("firewalld", "k3s", "k3s-agent", "nm-cloud-setup", "systemd-resolved")
_FILES = (
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/systemd/system/k3s.service",
    "/etc/systemd/system/k3s-agent.service",
)
# System services have their cgroup below one of these: cgroup v2 alone, or beside v1.
_GROUPS = (
    "sys/fs/cgroup/system.slice",
    "sys/fs/cgroup/systemd/system.slice",
    "sys/fs/cgroup/unified/system.slice",
)
_CLOCK_UNSYNCHRONIZED = 5
_DAY = 86400.0


def caller(root: Path, environ: Mapping[str, str]) -> Observed[Caller]:
    """Tell by whom and in which cgroup this process was started."""
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
    own = next((group for group in groups if group != "/"), "/" if groups else "")
    return Known(Caller(environ.get("SUDO_USER", ""), own), str(path))


def process(root: Path, groups: tuple[Path, ...], control_group: str) -> Observed[Process]:
    """Read what the user manager passes on to its units, from its own process (`control_group` is
    its cgroup).
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
        return Unknown(f"the process of the user manager cannot be looked at: {error}")
    hard = next((line[26:].split()[1] for line in limits if line.startswith("Max open files")), "")
    return Known(
        Process(
            no_new_privileges="NoNewPrivs:\t1" in status,
            open_files=int(hard) if hard.isdecimal() else None,
            tasks=_tasks(groups, control_group),
            id_map=id_map,
        ),
        f"/proc/{pid}",
    )


def _manager(groups: tuple[Path, ...], control_group: str) -> str:
    for group in groups:
        path = group / control_group.lstrip("/") / "init.scope/cgroup.procs"
        if control_group and (found := _text(path).split()):
            return found[0]
    return ""


def _tasks(groups: tuple[Path, ...], control_group: str) -> int | None:
    above = Path(control_group.lstrip("/")).parent
    limits = [_text(group / above / "pids.max").strip() for group in groups if control_group]
    return next((int(limit) for limit in limits if limit.isdecimal()), None)


def subid_files(root: Path, user: str, uid: int) -> Observed[SubidFiles]:
    """Read the ranges of everybody else, and the uids of real users, to see whether ids are given
    twice.
    """
    others = []
    for kind in ("subuid", "subgid"):
        for line in _text(root / "etc" / kind).split("\n"):
            owner, _, rest = line.strip().partition(":")
            start, _, count = rest.partition(":")
            if owner not in {user, str(uid)} and _small(start) and _small(count):
                others.append((kind, owner, SubidRange(int(start), int(count))))
    rows = [line.split(":") for line in _text(root / "etc/passwd").splitlines()]
    users = tuple((row[0], int(row[2])) for row in rows if len(row) > 2 and _small(row[2]))
    links = tuple(
        str(path) for kind in ("subuid", "subgid") if (path := root / "etc" / kind).is_symlink()
    )
    return Known(SubidFiles(links, tuple(others), users), "/etc/subuid, /etc/subgid, /etc/passwd")


def _small(digits: str) -> bool:
    return digits.isascii() and digits.isdecimal() and len(digits) < 20


def beside(root: Path, config: str) -> Observed[Beside]:
    """Look for what else runs or lies on this host; `config` is where K3s looks for its
    configuration file, if anywhere.
    """
    running = frozenset(
        name
        for name in _SERVICES
        if any((root / group / f"{name}.service").is_dir() for group in _GROUPS)
    )
    files = frozenset(path for path in _FILES if (root / path.lstrip("/")).exists())
    tried: dict[str, int] = {}
    for path in _configuration(root, config) if config else ():
        found = devices.opened(path)
        if isinstance(found, Unknown):
            return found
        if found.value != 2:  # what does not exist K3s passes over
            tried[str(path)] = found.value
    ufw = "ENABLED=yes" in _text(root / "etc/ufw/ufw.conf").split()
    return Known(Beside(running, files, tried, ufw), "/sys/fs/cgroup and /etc")


def _configuration(root: Path, config: str) -> list[Path]:
    main = root / config.lstrip("/")
    more = main.with_name(f"{main.name}.d")
    try:
        return [
            main,
            *(
                more / name
                for name in sorted(one.name for one in more.iterdir())
                if name.endswith((".yaml", ".yml"))
            ),
        ]
    except FileNotFoundError:
        return [main]
    except OSError:
        return [main, more]


def machine(root: Path, program: str | None) -> Observed[Machine]:
    """Read what the host is; `program` is k3s, whose age the clock is compared with."""
    proc = [one for one in mounts.mounts(root) if one.point == "/proc"]
    options = proc[-1].super_options.split(",") if proc else []
    hidden = next((one.partition("=")[2] for one in options if one.startswith("hidepid=")), "")
    memory = {
        line.partition(":")[0]: line.split()[1]
        for line in _text(root / "proc/meminfo").splitlines()
        if ":" in line
    }
    enforce = _text(root / "sys/fs/selinux/enforce").strip()
    kernel = _text(root / "proc/sys/kernel/osrelease").lower()
    return Known(
        Machine(
            available=int(memory.get("MemAvailable", "0")) * 1024,
            processors=os.cpu_count() or 0,
            hostname=_text(root / "proc/sys/kernel/hostname").strip() or os.uname().nodename,
            synchronized=_synchronized(),
            early=_younger(program, root / "etc/os-release"),
            container=_container(root),
            wsl="microsoft" in kernel,
            selinux=enforce == "1" if enforce else None,
            hidepid="" if hidden in {"0", "off"} else hidden,
            journal=(root / "var/log/journal").is_dir(),
        ),
        "/proc and /sys",
    )


def _synchronized() -> bool:
    # struct timex begins with `modes`: with none set, adjtimex(2) changes nothing and needs no
    # privilege.
    return (
        int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))) != _CLOCK_UNSYNCHRONIZED
    )


def _younger(*paths: str | Path | None) -> str:
    for path in paths:
        try:
            if path and os.stat(path).st_mtime > time.time() + _DAY:  # noqa: PTH116 (a text or a Path)
                return str(path)
        except OSError:
            continue
    return ""


def _container(root: Path) -> str:
    if found := _text(root / "run/systemd/container").strip():
        return found
    marks = {"docker": ".dockerenv", "podman": "run/.containerenv"}
    return next((name for name, mark in marks.items() if (root / mark).exists()), "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
