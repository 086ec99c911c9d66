"""Probes of the places that K3s writes to: file system, mount flags, free space, quota.

They also find what an earlier K3s left. They use stat(2), statvfs(3), /proc/self/mountinfo and
quotactl(2), and write nothing to find out whether a place is writable.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.k3s import layout
from k3s_rootless.linux.mounts import Mount, mount_of, mounts
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Place, Storage
from k3s_rootless.rootlesskit import state

# Q_GETQUOTA for USRQUOTA. Three words of struct if_dqblk matter: the hard limit in KiB, the soft
# limit, and the bytes in use.
_GET_USER_QUOTA = 0x800007 << 8
# `data/<SHA-256 of K3s's content>-tmp`, which K3s renames when it is complete (K3s cmd/k3s/main.go,
# extract).
_UNFINISHED = re.compile(r"[0-9a-f]{64}-tmp")
_MOST_FILES = 10_000


def storage(root: Path, data: Path, home: Path, temporary: Path, uid: int) -> Observed[Storage]:
    """Read the data directory, the temporary directory and the home directory.

    If a directory is missing, its nearest existing parent is read.
    """
    try:
        mounted = mounts(root)
        return Known(
            Storage(
                _place(data, mounted, uid),
                _place(temporary, mounted, uid),
                _place(home, mounted, uid),
                _state_files(data / layout.ROOTLESS),
                _unfinished(data / layout.UNPACKED),
            ),
            f"statvfs {data}",
        )
    except OSError as error:
        return Unknown(f"{data} cannot be checked: {error.strerror}")


def _state_files(directory: Path) -> tuple[str, ...]:
    """Return rootlesskit's files; empty if the user cannot search the directory."""
    try:
        return tuple(map(str, state.files(directory)))
    except OSError:
        return ()


def _unfinished(place: Path) -> tuple[tuple[str, int], ...]:
    """Return the directories into which K3s began to unpack itself, with their sizes.

    While K3s unpacks itself, the result is empty.
    """
    try:
        found = sorted(one.path for one in os.scandir(place) if _is_unfinished(one))
        # K3s holds this lock while it unpacks itself (its cmd/k3s/main.go and pkg/flock).
        if found and atomic.is_locked(place / ".lock"):
            return ()
    except OSError:
        return ()
    return tuple((path, _size(path)) for path in found)


def _is_unfinished(entry: os.DirEntry[str]) -> bool:
    return _UNFINISHED.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _size(directory: str) -> int:
    """Return the bytes that a tree uses on the disk.

    Of a very large tree, only the first files are counted.
    """
    size = count = 0
    for above, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                size += os.lstat(f"{above}/{name}").st_blocks * 512
        count += len(names)
        if count > _MOST_FILES:
            break
    return size


def _place(path: Path, mounted: list[Mount], uid: int) -> Place:
    found = next(one for one in (path, *path.parents) if one.exists())
    real = found.resolve()
    mount = mount_of(mounted, real)
    kind = ""
    flags: set[str] = set()
    left: Observed[int | None] = Known(None)
    if mount:
        kind = mount.type
        flags = {*mount.options.split(","), *mount.super_options.split(",")}
        if mount.source.startswith("/dev/"):
            left = _quota(mount.source, uid)
    room = os.statvfs(real)
    status = real.stat()
    return Place(
        path=str(path),
        exists=found == path,
        found=str(real),
        type=kind,
        flags=frozenset(flags & {"ro", "noexec", "nosuid", "nodev"}),
        owner=status.st_uid,
        writable=os.access(real, os.W_OK | os.X_OK),
        free=room.f_bavail * room.f_frsize,
        size=room.f_blocks * room.f_frsize,
        inodes=room.f_favail if room.f_files else None,
        left=left,
    )


def _quota(device: str, uid: int) -> Observed[int | None]:
    """Return the bytes that the user can still write; None without a quota."""
    answer = (ctypes.c_uint64 * 16)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.quotactl(_GET_USER_QUOTA, os.fsencode(device), uid, answer) != 0:
        code = ctypes.get_errno()
        # Quotas are off, or the file system or the kernel does not have them.
        if code in {errno.ESRCH, errno.ENOSYS, errno.EOPNOTSUPP}:
            return Known(None, device)
        return Unknown(f"the quota on {device} cannot be read: {os.strerror(code)}")
    hard = answer[0] * 1024
    used = answer[2]
    source = f"quota on {device}"
    if not hard:
        return Known(None, source)
    return Known(max(0, hard - used), source)
