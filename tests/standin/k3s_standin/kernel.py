"""Kernel features that the server uses: mounts, cgroup controllers, the snapshotter."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .journal import Fatal, Journal
from .release import Release

CGROUP_ROOT = Path("/sys/fs/cgroup")
_MS_BIND, _MS_REC, _MNT_DETACH = 0x1000, 0x4000, 2
_MOUNTS = {
    "/var/log": "logs",
    "/var/lib/cni": "cni",
    "/var/lib/kubelet": "kubelet",
    "/etc/rancher": "etc/rancher",
}


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or bind one directory over another; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    encoded = kind.encode() if kind is not None else None
    if (
        libc.mount(
            source.encode(), target.encode(), encoded, ctypes.c_ulong(flags), options.encode()
        )
        != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def unmount(target: str) -> None:
    """Unmount lazily; a target that is not mounted is not an error."""
    ctypes.CDLL(None, use_errno=True).umount2(target.encode(), _MNT_DETACH)


def bind_directories(data_dir: Path) -> None:
    """Bind directories of DATA over those that K3s writes to (K3s pkg/rootless/mounts.go)."""
    for target, name in _MOUNTS.items():
        source = data_dir / name
        source.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            Path(target).mkdir(parents=True, exist_ok=True)
            mount(str(source), target, None, _MS_BIND | _MS_REC)
        except OSError:
            raise Fatal(f"failed to setup mount {target} => {source}") from None


def cover_kernel_log() -> None:
    """Mount /dev/null over a /dev/kmsg that cannot be read; a missing /dev/kmsg is fatal.

    Source: K3s pkg/rootless/mounts.go.
    """
    if os.access("/dev/kmsg", os.R_OK):
        return
    try:
        mount("/dev/null", "/dev/kmsg", None, _MS_BIND)
    except OSError as error:
        raise Fatal((error.strerror or "input/output error").lower()) from None


def enter_own_cgroup() -> None:
    """Move the server from the evacuation group to the sibling group `k3s`.

    Without a writable cgroup, nothing happens.
    """
    group = CGROUP_ROOT / "k3s"
    try:
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text("0")
    except OSError:
        return


def controllers(ordered: str | None) -> frozenset[str] | None:
    """Return the delegated controllers in the cgroup namespace; None without cgroup v2."""
    if ordered is not None:
        return frozenset(ordered.split())
    try:
        return frozenset((CGROUP_ROOT / "cgroup.controllers").read_text().split())
    except OSError:
        return None


def validate_controllers(
    found: frozenset[str] | None, release: Release, *, writable: bool, journal: Journal
) -> None:
    """Raise Fatal, warn or pass by the rule of the release.

    Source: K3s pkg/cgroups/cgroups_linux.go, pkg/daemons/agent/agent_linux.go.
    """
    if not release.validates_cgroups:
        return
    found = found or frozenset()
    for name in ("cpu", "cpuset", "memory"):
        if name not in found:
            raise Fatal(f"failed to find {name} cgroup (v2)")
    if release.requires_delegation:
        if "pids" not in found:
            raise Fatal("pids cgroup controller not found")
        if not writable:
            raise Fatal("delegated cgroup v2 controllers are required for rootless")
    elif "pids" not in found or not writable:
        journal.warning("cgroup v2 controllers are not delegated for rootless. Disabling cgroup.")


def snapshotter_error(snapshotter: str, data_dir: Path) -> str | None:
    """Try the system calls that the snapshotter needs; return K3s's error message if they fail."""
    root = data_dir / "agent" / "containerd"
    root.mkdir(parents=True, exist_ok=True)
    if snapshotter == "overlayfs":
        return _overlayfs_error(root)
    if snapshotter == "fuse-overlayfs":
        return _fuse_overlayfs_error(root)
    return None


def _overlayfs_error(root: Path) -> str | None:
    with tempfile.TemporaryDirectory(prefix="overlayfs-", dir=root) as directory:
        base = Path(directory)
        for name in ("lower1", "lower2", "upper", "work", "merged"):
            (base / name).mkdir()
        options = (
            f"lowerdir={base}/lower2:{base}/lower1,upperdir={base}/upper,workdir={base}/work"
            ",userxattr"
        )
        try:
            mount("overlay", f"{base}/merged", "overlay", 0, options)
        except OSError as error:
            why = f"failed to mount overlay: {(error.strerror or '').lower()}"
            return (
                f'"overlayfs" snapshotter cannot be enabled for "{root}", try using'
                f' "fuse-overlayfs" or "native": {why}'
            )
        unmount(f"{base}/merged")
    return None


def _fuse_overlayfs_error(root: Path) -> str | None:
    with tempfile.TemporaryDirectory(prefix="fuse-overlayfs-check", dir=root) as directory:
        base = Path(directory)
        for name in ("lower1", "lower2", "upper", "work", "merged"):
            (base / name).mkdir()
        options = f"lowerdir={base}/lower2:{base}/lower1,upperdir={base}/upper,workdir={base}/work"
        helper = ["mount.fuse3", "overlay", f"{base}/merged", "-o", options, "-t", "fuse-overlayfs"]
        why = _helper_error(helper)
        unmount(f"{base}/merged")
    if why is None:
        return None
    mount = f"{{Type:fuse3.fuse-overlayfs Source:overlay Options:[{options.replace(',', ' ')}]}}"
    return (
        f'"fuse-overlayfs" snapshotter cannot be enabled for "{root}", try using "native":'
        " fuse-overlayfs not functional, "
        f"make sure running with kernel >= 4.18: failed to mount fuse-overlayfs ({mount}) on"
        f" {base}/merged: "
        f"mount helper [{helper[0]} [{' '.join(helper[1:])}]] failed: {why}"
    )


def _helper_error(helper: list[str]) -> str | None:
    if shutil.which(helper[0]) is None:
        return f'"": exec: "{helper[0]}": executable file not found in $PATH'
    done = subprocess.run(helper, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    output = (done.stdout + done.stderr).replace("\n", "\\n")
    return f'"{output}": exit status {done.returncode}'
