"""Read facts about the host; each fact can fail separately.

The facts are the release, kernel, memory, disks and mounts. Sources: /etc/os-release,
/proc/meminfo, /proc/uptime, /proc/self/mountinfo, /proc/self/limits, /sys/kernel/security/lsm,
uname(2), statvfs(3). For the names to be replaced: /proc/net/fib_trie and /proc/net/if_inet6.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from k3s_rootless import command
from k3s_rootless.linux import os_release, routes
from k3s_rootless.linux.addresses import all_ipv6
from k3s_rootless.linux.mounts import Mount, mount_of, mounts

_VIRTUALIZATION_SECONDS = 3.0
_LARGEST = 256 * 1024
_GENERIC_NAMES = ("localhost", "ip6-", "ip4-")
_LIMITS = ("Max open files", "Max processes", "Max locked memory")


def facts(root: Path, places: tuple[Path, ...]) -> dict[str, Any]:
    """Return the facts in JSON form; `places` are directories to report mounts and free space for.

    A fact that cannot be read is null, and `unknown` contains the reason.
    """
    readers: dict[str, Callable[[], Any]] = {
        "os_release": lambda: os_release.read(root),
        "kernel": lambda: f"{os.uname().sysname} {os.uname().release} {os.uname().version}",
        "machine": lambda: os.uname().machine,
        "processors": os.cpu_count,
        "virtualization": _virtualization,
        "cgroup_mounts": lambda: _cgroup_mounts(root),
        "memory_kib": lambda: _memory(root),
        "uptime_seconds": lambda: float((root / "proc/uptime").read_text("ascii").split()[0]),
        "load": lambda: (root / "proc/loadavg").read_text("ascii").strip(),
        "security_modules": lambda: (root / "sys/kernel/security/lsm").read_text("ascii").strip(),
        "limits": lambda: _limits(root),
        "places": lambda: [_place(root, path) for path in places],
    }
    found: dict[str, Any] = {}
    unknown = []
    for name, read in readers.items():
        try:
            found[name] = read()
        except (OSError, ValueError, IndexError) as error:
            found[name] = None
            unknown.append({"fact": name, "reason": _reason(error)})
    return {**found, "unknown": unknown}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or '').lower()}"
    return str(error)


def addresses(root: Path) -> tuple[str, ...]:
    """List the addresses of this host without loopback; empty if they cannot be read."""
    net = root / "proc/net"
    found: list[str] = []
    with suppress(OSError):
        found += routes.local_addresses(net)
    with suppress(OSError, ValueError):
        found += all_ipv6(net / "if_inet6")
    return tuple(one for one in found if one != "::1" and not one.startswith("127."))


def aliases(root: Path, name: str) -> tuple[str, ...]:
    """List the other names of the host called `name`, with their domains.

    Sources: /etc/hostname, and the lines of the host in /etc/hosts.
    """
    found = [_text(root / "etc/hostname").strip()]
    short = name.partition(".")[0].lower()
    for line in _text(root / "etc/hosts").splitlines():
        words = line.partition("#")[0].split()[1:]
        if short in {word.lower().partition(".")[0] for word in words}:
            found += words
    return tuple(
        dict.fromkeys(one for one in found if one and not one.lower().startswith(_GENERIC_NAMES))
    )


def domains(root: Path) -> tuple[str, ...]:
    """List the domains of the host's network: its search domains and its NIS domain."""
    found = [_text(root / "proc/sys/kernel/domainname").strip()]
    for file in ("etc/resolv.conf", "run/systemd/resolve/resolv.conf"):
        for line in _text(root / file).splitlines():
            words = line.split()
            if words[:1] in (["search"], ["domain"]):
                found += words[1:]
    return tuple(
        dict.fromkeys(one.strip(".") for one in found if one.strip(".") and one != "(none)")
    )


def machine_ids(root: Path) -> tuple[str, ...]:
    """Return the machine id of the host (machine-id(5)); other programs derive names from it."""
    texts = (_text(root / file) for file in ("etc/machine-id", "var/lib/dbus/machine-id"))
    return tuple(filter(None, map(str.strip, texts)))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _cgroup_mounts(root: Path) -> list[dict[str, str]]:
    return [_mount(one) for one in mounts(root) if one.type.startswith("cgroup")]


def _mount(one: Mount) -> dict[str, str]:
    return {
        "point": one.point,
        "type": one.type,
        "options": one.options,
        "super_options": one.super_options,
    }


def _place(root: Path, path: Path) -> dict[str, Any]:
    above = next(one for one in (path, *path.parents) if one.exists())
    real = above.resolve()
    mount = mount_of(mounts(root), real)
    room = os.statvfs(real)
    return {
        "path": str(path),
        "exists": above == path,
        "mount": mount and _mount(mount),
        "free_mib": room.f_bavail * room.f_frsize // 2**20,
        "size_mib": room.f_blocks * room.f_frsize // 2**20,
        "free_inodes": room.f_favail,
    }


def _memory(root: Path) -> dict[str, int]:
    shown = {"MemTotal", "MemAvailable", "SwapTotal", "SwapFree"}
    pairs = (line.split(":") for line in (root / "proc/meminfo").read_text("ascii").splitlines())
    return {name: int(value.split()[0]) for name, value in pairs if name in shown}


def _limits(root: Path) -> dict[str, str]:
    lines = (root / "proc/self/limits").read_text("ascii").splitlines()
    return {
        name: " ".join(line[len(name) :].split())
        for line in lines
        for name in _LIMITS
        if line.startswith(name)
    }


def _virtualization() -> str | None:
    program = command.found("systemd-detect-virt")[0]
    if program is None:
        return None
    return command.run([program], timeout=_VIRTUALIZATION_SECONDS).stdout.strip()
