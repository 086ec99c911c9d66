"""Check which users could change a program before it is run.

A program is trusted if only root and the caller can change the file, every directory above it, and
every link on the path. The path is followed one component at a time, as path_resolution(7)
describes, so that a link is checked in its own directory, and not only at its target.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

_MOST_LINKS = 40
"""The limit of the kernel (path_resolution(7))."""
_ACL = "system.posix_acl_access"


def risk(path: Path) -> str:
    """Return why another user could change a program; empty if only root and the caller can.

    The mode of a directory with the sticky bit is ignored: there, users can rename and remove only
    their own files, and the owner of the next component is checked as well. A group without other
    members is allowed to write. A part of the path that cannot be checked is a risk.
    """
    try:
        owners = _owners()
        return next(
            (why for step, found in _way(path) if (why := _risk_of(step, found, owners))), ""
        )
    except OSError as error:
        return (
            f"{error.filename or path} cannot be checked: {(error.strerror or str(error)).lower()}"
        )


def _way(path: Path) -> Iterable[tuple[Path, os.stat_result]]:
    """Yield each directory, link and file that the kernel resolves for a path.

    Raises OSError.
    """
    left = [part for part in reversed(path.absolute().parts) if part != "/"]
    here, links = Path("/"), 0
    yield here, here.lstat()
    while left:
        name = left.pop()
        if name == "..":
            here = here.parent
            continue
        found = (here / name).lstat()
        yield here / name, found
        if not stat.S_ISLNK(found.st_mode):
            here /= name
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(f"{path} has too many links")
        target = (here / name).readlink()
        here = Path("/") if target.is_absolute() else here
        left += [part for part in reversed(target.parts) if part != "/"]


def _risk_of(path: Path, found: os.stat_result, owners: set[int]) -> str:
    if found.st_uid not in owners:
        return f"{path} belongs to uid {found.st_uid}"
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if stat.S_ISLNK(found.st_mode) or sticky:
        return ""
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & stat.S_IWOTH:
        return f"every user can write to {path} ({mode})"
    if not found.st_mode & stat.S_IWGRP:
        return ""
    if _has_acl(path):
        # With an ACL, the group bits are its mask, and do not show who can write.
        return f"{path} has an access control list that lets other users write to it ({mode})"
    return f"group {found.st_gid} can write to {path} ({mode})" if _is_shared(found.st_gid) else ""


def _owners() -> set[int]:
    owners = {0, os.getuid()}
    # In a user namespace without root (a sandboxed terminal), files of root belong to the overflow
    # id.
    mapped = [
        line.split()[0] for line in Path("/proc/self/uid_map").read_text("ascii").splitlines()
    ]
    if "0" not in mapped:
        owners.add(int(Path("/proc/sys/kernel/overflowuid").read_text("ascii")))
    return owners


def _has_acl(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, _ACL, follow_symlinks=False))
    except OSError:
        return False  # none, or a file system without access control lists


def _is_shared(gid: int) -> bool:
    """Return whether a group has members other than root and the caller, or could have some."""
    try:
        own, group = pwd.getpwuid(os.getuid()), grp.getgrgid(gid)
    except KeyError:
        return True
    if set(group.gr_mem) - {own.pw_name, "root"}:
        return True
    if gid == own.pw_gid:
        # A directory service does not list the users with this primary group. Only a group with the
        # name of the caller is known to be private (user private groups).
        return group.gr_name != own.pw_name
    return any(one.pw_gid == gid and one.pw_uid not in {0, own.pw_uid} for one in pwd.getpwall())
