"""Probes of the host: control groups, sysctls, programs and the k3s binary.

They read below the given root: /etc/os-release, /proc/sys, /run/systemd/system, /sys/fs/cgroup and
the directories of the unit's PATH. Each probe returns Known or Unknown, and none of them raises for
what it finds.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from k3s_rootless import command, trust
from k3s_rootless.errors import CommandFailed
from k3s_rootless.k3s import version
from k3s_rootless.linux import os_release
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import (
    CgroupMode,
    K3sBinary,
    MapProgram,
    RuntimeDirectory,
)

# include/uapi/linux/magic.h
_CGROUP2_MAGIC = 0x63677270
_TMPFS_MAGIC = 0x01021994
# capability.h: bit 6 is CAP_SETGID, bit 7 CAP_SETUID.
_CAPABILITY_BITS = {"newgidmap": 6, "newuidmap": 7}
SYSCTLS = (
    "net.ipv4.ip_forward",
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    *(f"user.max_{kind}_namespaces" for kind in ("mnt", "pid", "net", "cgroup", "uts", "ipc")),
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "kernel.keys.maxkeys",
    "kernel.modules_disabled",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
)
VERSION_SECONDS = 10.0


def cgroup_mode(root: Path) -> Observed[CgroupMode]:
    """Return how control groups are mounted, by the magic numbers of the file systems."""
    top = root / "sys/fs/cgroup"
    if not top.is_dir():
        return Known(CgroupMode.ABSENT, str(top))
    magic = _file_system_magic(top)
    if magic == _CGROUP2_MAGIC:
        return Known(CgroupMode.UNIFIED, f"statfs {top}")
    if magic != _TMPFS_MAGIC:
        return Unknown(
            f"{top} is neither cgroup2 nor tmpfs (magic number of the file system: {magic:#x})"
        )
    beside = top / "unified"
    if beside.is_dir() and _file_system_magic(beside) == _CGROUP2_MAGIC:
        return Known(CgroupMode.HYBRID, f"statfs {top}")
    return Known(CgroupMode.LEGACY, f"statfs {top}")


def _file_system_magic(path: Path) -> int:
    # os.statvfs does not return f_type. It is the first word of struct statfs on every architecture
    # of Linux except s390.
    answer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), answer) != 0:
        return 0
    return ctypes.c_ulong.from_buffer(answer).value & 0xFFFFFFFF


def sysctls(root: Path) -> Mapping[str, Observed[str | None]]:
    """Read the sysctls that K3s depends on; None for a key that this kernel does not have."""
    return {key: _sysctl(root / "proc/sys" / key.replace(".", "/")) for key in SYSCTLS}


def _sysctl(path: Path) -> Observed[str | None]:
    try:
        return Known(path.read_text("utf-8", "replace").strip(), str(path))
    except FileNotFoundError:
        return Known(None, str(path))
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")


def runtime_directory(environ: Mapping[str, str], path: Path) -> RuntimeDirectory:
    """Read the runtime directory: given in the environment, or derived from the uid."""
    given = environ.get("XDG_RUNTIME_DIR", "").rstrip("/") == str(path)
    try:
        found = path.stat()
    except OSError:
        return RuntimeDirectory(str(path), given=given, exists=False, owner=-1, mode=0)
    exists = stat.S_ISDIR(found.st_mode)
    return RuntimeDirectory(
        str(path), given=given, exists=exists, owner=found.st_uid, mode=stat.S_IMODE(found.st_mode)
    )


def map_program(name: str, search: str, root: Path) -> Observed[MapProgram]:
    """Look up newuidmap or newgidmap on `search`, and read the privileges that it needs.

    `search` is the unit's PATH.
    """
    below = os.pathsep.join(str(root / entry.lstrip("/")) for entry in _absolute(search))
    found = shutil.which(name, path=below)
    if found is None:
        return Known(MapProgram(path=None), search)
    try:
        real = Path(found).resolve(strict=True)
        status = real.stat()
        return Known(
            MapProgram(
                path=str(real),
                owner=status.st_uid,
                setuid=bool(status.st_mode & stat.S_ISUID),
                capable=_has_capability(real, _CAPABILITY_BITS[name]),
                nosuid=bool(os.statvfs(real).f_flag & os.ST_NOSUID),
            ),
            str(real),
        )
    except OSError as error:
        return Unknown(f"{found} cannot be checked: {error.strerror}")


def _absolute(search: str) -> list[str]:
    # An empty or relative entry means the current directory, where any user could have put a
    # program with the same name.
    return [entry for entry in search.split(os.pathsep) if entry.startswith("/")]


def _has_capability(path: Path, bit: int) -> bool:
    # vfs_cap_data (linux/capability.h) has the magic word, then the low word of the permitted set,
    # in little endian.
    try:
        attribute = os.getxattr(path, "security.capability")
    except OSError:
        return False
    return len(attribute) >= 8 and bool(int.from_bytes(attribute[4:8], "little") >> bit & 1)


def k3s_binary(
    environ: Mapping[str, str],
    search: str,
    home: Path,
    *,
    own: Path | None = None,
    seconds: float = VERSION_SECONDS,
) -> K3sBinary:
    """Find the k3s that a unit would start, and run `k3s --version`, for at most `seconds`.

    See `find_k3s`. A k3s that another user could change is not run.
    """
    found = find_k3s(environ, search, home, own=own)
    if found.path is None or not found.executable or found.risk:
        return found
    return replace(found, version=k3s_version(Path(found.path), home, seconds))


def find_k3s(
    environ: Mapping[str, str], search: str, home: Path, *, own: Path | None = None
) -> K3sBinary:
    """Find the k3s that a unit would start, without running it.

    The release in use below `own` comes first, because the user chose it. Then come the caller's
    PATH, which finds the k3s that the user means, the unit's PATH, and the directories where users
    put programs. A k3s that another user could change is skipped. If there is no other, it is
    returned with its risk.
    """
    places = [
        *([] if own is None else [str(own / "bin")]),
        *_absolute(environ.get("PATH", "")),
        *_absolute(search),
        str(home / ".local/bin"),
        str(home / "bin"),
    ]
    risky = None
    for place in dict.fromkeys(places):
        found = shutil.which("k3s", path=place)
        if found is None:
            continue
        risk = trust.risk(Path(found))
        if not risk:
            return _trusted(Path(found), own)
        if risky is None:
            not_run = Unknown(f"{found} was not run: {risk}")
            risky = K3sBinary(found, executable=True, risk=risk, version=not_run)
    if risky is not None:
        return risky
    return K3sBinary(path=shutil.which("k3s", mode=os.F_OK, path=os.pathsep.join(places)))


def _trusted(found: Path, own: Path | None) -> K3sBinary:
    try:
        real = _pinned(found, own)
        owner = real.stat().st_uid
        releases = ""
        if own is not None and real == own / "bin/k3s":
            # `releases/VERSION/k3s`, without links.
            releases = str(real.resolve().parents[1])
    except OSError:
        return K3sBinary(path=str(found))
    return K3sBinary(path=str(real), executable=True, owner=owner, releases=releases)


def _pinned(found: Path, own: Path | None) -> Path:
    real = found.resolve(strict=True)
    # Nix deletes a path in its store after the next upgrade, but keeps the link to it. So the path
    # of the link is returned.
    if real.is_relative_to("/nix/store"):
        return found.absolute()
    # `release use` changes the target of our own link, and the unit stays as it is.
    link = None if own is None else own / "bin/k3s"
    if link is not None and link.is_symlink() and link.resolve() == real and not trust.risk(link):
        return link
    return real


def k3s_version(path: Path, home: Path, seconds: float) -> Observed[version.Version]:
    """Run `k3s --version`, for at most `seconds`, and return the version that it prints."""
    # Until 2023-06, `--version` failed if /etc/rancher/k3s/config.yaml was unreadable (K3s #4321),
    # so an empty file is named instead. A missing file does not work: those releases also fail if
    # the named file does not exist.
    environ = {"PATH": os.defpath, "HOME": str(home), "K3S_CONFIG_FILE": os.devnull}
    command_line = f"{path} --version"
    try:
        output = command.run([str(path), "--version"], timeout=seconds, environ=environ)
    except CommandFailed as error:
        return Unknown(error.message)
    found = version.from_output(output.stdout)
    if found is not None:
        return Known(found, command_line)
    printed = f"exit status {output.status}"
    if output.status == 0:
        printed = next(iter(output.stdout.splitlines()), "nothing")
    return Unknown(f"`{command_line}` printed no version of K3s: {printed[:80]!r}")


def distribution(root: Path) -> str:
    """Return `ID` and `ID_LIKE` of os-release as words, such as `ubuntu debian`.

    The result is empty if os-release cannot be read.
    """
    try:
        fields = os_release.read(root)
    except OSError:
        return ""
    return f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".strip()


def systemd_booted(root: Path) -> bool:
    """Return whether systemd is the init of this host, as sd_booted(3) does."""
    return (root / "run/systemd/system").is_dir()
