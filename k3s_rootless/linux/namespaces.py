"""The process that owns K3s's namespaces: verify and open it, without privileges."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import control_group


@contextmanager
def verified(pid: int, *, uid: int, unit_group: str) -> Iterator[int]:
    """Yield a descriptor of the directory in /proc of the child, which rootlesskit names.

    All files below the descriptor belong to this process, even if its PID is reused. The kernel may
    have reused the PID before. Therefore the process must belong to `uid`, be in the unit's control
    group `unit_group` (in systemd's notation), and be in another network namespace than this
    process. Raises RootlessError.
    """
    directory = open_process(pid)
    try:
        _require_child(directory, pid, uid, unit_group)
        yield directory
    finally:
        os.close(directory)


def open_child(pid: int, *, uid: int, unit_group: str) -> int:
    """Return a descriptor of the child itself (pidfd), after the checks of `verified`.

    Raises RootlessError.
    """
    try:
        opened = os.pidfd_open(pid)
    except OSError as error:
        raise RootlessError(f"cannot open process {pid}: {_reason(error)}") from error
    try:
        # Opened first: if the directory can be read afterwards, both are the same process.
        with verified(pid, uid=uid, unit_group=unit_group):
            return opened
    except BaseException:
        os.close(opened)
        raise


def open_process(pid: int) -> int:
    """Open the directory of a process in /proc, and return the descriptor. Raises RootlessError."""
    try:
        return os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootlessError(f"cannot read process {pid}: {_reason(error)}") from error


def _require_child(directory: int, pid: int, uid: int, unit_group: str) -> None:
    if os.fstat(directory).st_uid != uid:
        # /proc entries of a process that does not dump core belong to root. rootlesskit's child is
        # not such a process.
        raise RootlessError(f"process {pid} does not belong to uid {uid}, so it is not part of K3s")
    here = Path(f"/proc/self/fd/{directory}")
    try:
        groups = control_group.paths(here)
        namespace = (here / "ns/net").readlink()
    except OSError as error:
        raise RootlessError(f"cannot read process {pid}: {_reason(error)}") from error
    if not control_group.is_within(groups, unit_group):
        raise RootlessError(
            f"process {pid} is not in the control group of the unit, so it is not part of K3s"
        )
    if namespace == Path("/proc/self/ns/net").readlink():
        raise RootlessError(f"process {pid} is in the network namespace of the host")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
