"""Join the namespaces of another process (setns(2))."""

from __future__ import annotations

import ctypes
import os

from k3s_rootless.errors import RootlessError

_MOUNTS, _USERS, _PROCESSES, _NETWORK = 0x00020000, 0x10000000, 0x20000000, 0x40000000
"""CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID and CLONE_NEWNET of clone(2)."""
_ALL = _USERS | _MOUNTS | _NETWORK | _PROCESSES


def join(process: int) -> None:
    """Move this process into the user, mount and network namespace of a pidfd.

    Children that this process starts later are in its PID namespace as well; this process itself
    keeps its own. The working directory becomes the root directory. This process must have a single
    thread. Raises RootlessError.
    """
    # A pidfd joins several namespaces in one call, with the capabilities of the new user namespace
    # (Linux 5.8). os.setns exists since Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(process, _ALL) == 0:
        return
    reason = os.strerror(ctypes.get_errno()).lower()
    raise RootlessError(
        f"cannot enter K3s's namespaces: {reason}",
        hint="check that K3s runs: k3s-rootless status",
    )
