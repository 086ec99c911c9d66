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
    try:
        _join(process, _ALL)
    except OSError as error:
        raise RootlessError(
            f"cannot enter K3s's namespaces: {(error.strerror or '').lower()}",
            hint="check that K3s runs: k3s-rootless status",
        ) from error


def join_network(namespace: int) -> None:
    """Move this thread into a network namespace; `namespace` is its descriptor. Raises OSError."""
    _join(namespace, _NETWORK)


def _join(descriptor: int, kinds: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kinds) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
