"""Check that a directory is a data directory of K3s, before the data of K3s is removed from it.

Directories are compared by device and inode, on open descriptors. A path is not sufficient: a link
or a bind mount gives the same directory a second name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from k3s_rootless.atomic import reason
from k3s_rootless.errors import UsageError
from k3s_rootless.k3s import layout
from k3s_rootless.linux import open_directory
from k3s_rootless.rootlesskit.names import CHILD_PID, LOCK

PURGING = ".k3s-rootless-purge"
"""The file that a purge creates first and removes last.

It identifies the rest of an interrupted purge as data of K3s.
"""
RESET = ".k3s-rootless-reset"
"""The directory into which a reset moves the files of a cluster before it removes them."""
MARKERS = (
    PURGING,
    layout.SERVER_TOKEN,
    layout.SQLITE,
    f"{layout.ETCD}/name",
    f"{layout.TLS}/{layout.SERVER_AUTHORITY}",
    layout.IPSEC_KEY,
    layout.CONTROLLER_KUBECONFIG,
    layout.KUBELET_KUBECONFIG,
    layout.CONTAINERD_LOG,
    layout.CRICTL_CONFIGURATION,
    f"{layout.ROOTLESS}/{LOCK}",
    f"{layout.ROOTLESS}/{CHILD_PID}",
)
"""Files that identify a data directory of K3s."""
_UNPACKED = re.compile(r"[0-9a-f]{64}(?:-tmp)?")
_HINTS = {
    "purge": (
        "run the command without --purge, and remove the directory yourself;"
        " docs/reference/paths.md lists these files"
    ),
    "reset": "see where the setting comes from: k3s-rootless config get data-dir",
}


def identify(
    directory: Path, home: Path, uid: int, action: str = "purge"
) -> open_directory.Identity:
    """Return device and inode of a data directory that can be purged.

    `action` is the verb of the messages.

    Raises UsageError for a link, for a directory of another user, for the home directory or a
    directory above it, and for a directory that is neither empty nor a data directory of K3s.
    """
    with _opened(directory, action) as descriptor:
        found = os.fstat(descriptor)
        if found.st_uid != uid:
            raise UsageError(f"cannot {action} {directory}: it belongs to uid {found.st_uid}")
        identity = open_directory.identity(found)
        if identity in home_and_above(home):
            raise UsageError(
                f"cannot {action} {directory}: it is your home directory, or contains it"
            )
        if not _is_usable(descriptor):
            raise UsageError(
                f"cannot {action} {directory}: it is not empty, and contains no file that"
                " identifies a data directory of K3s",
                hint=_HINTS[action],
            )
        return identity


def unusable(directory: Path, home: Path) -> str:
    """Return why K3s must not use a directory as its data directory.

    The result is empty if K3s can use the directory, or if the directory does not exist yet.
    """
    try:
        descriptor = os.open(directory, open_directory.FLAGS & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be opened: {reason(error)}"
    try:
        if open_directory.identity(os.fstat(descriptor)) in home_and_above(home):
            return "it is your home directory, or contains it"
        if not _is_usable(descriptor):
            return "it is neither empty nor a data directory of K3s"
        return ""
    finally:
        os.close(descriptor)


def is_k3s(descriptor: int) -> bool:
    """Return whether an open directory contains a file or directory that only K3s creates.

    Raises OSError.
    """
    if any(_is_kind(descriptor, name, stat.S_ISREG) for name in MARKERS):
        return True
    begun = _is_kind(descriptor, layout.UNPACKING_LOCK, stat.S_ISREG)
    if begun and set(os.listdir(descriptor)) <= {*layout.TOP}:
        return True
    try:
        data = os.open(layout.UNPACKED, open_directory.FLAGS, dir_fd=descriptor)
    except OSError:
        return False
    try:
        names = filter(_UNPACKED.fullmatch, os.listdir(data))  # noqa: PTH208 (a descriptor)
        return any(_is_kind(data, name, stat.S_ISDIR) for name in names)
    finally:
        os.close(data)


@contextmanager
def _opened(directory: Path, action: str) -> Iterator[int]:
    try:
        descriptor = os.open(directory, open_directory.FLAGS)
    except OSError as error:
        if directory.is_symlink():
            hint = f"use the target of the link: {directory.resolve()}"
            raise UsageError(f"cannot {action} {directory}: it is a link", hint=hint) from None
        raise UsageError(f"cannot {action} {directory}: {reason(error)}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_usable(descriptor: int) -> bool:
    return not os.listdir(descriptor) or is_k3s(descriptor)


def _is_kind(directory: int, name: str, kind: Callable[[int], bool]) -> bool:
    """Return whether the path `name` below an open directory is of a kind.

    `kind` checks the mode. A path that contains a link does not count.
    """
    *above, last = name.split("/")
    opened: list[int] = []
    try:
        for part in above:
            directory = os.open(part, open_directory.FLAGS, dir_fd=directory)
            opened.append(directory)
        return kind(os.stat(last, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False
    finally:
        for descriptor in opened:
            os.close(descriptor)


def home_and_above(home: Path) -> set[open_directory.Identity]:
    """Return the identities of the home directory and of all directories above it.

    The directories are those of its path, and those of its path with all links resolved.
    """
    found = set()
    for path in (home, *home.parents):
        with suppress(OSError):
            found.add(open_directory.identity(path.stat()))
    with suppress(OSError):
        real = home.resolve(strict=True)
        found |= {open_directory.identity(path.stat()) for path in (real, *real.parents)}
    return found
