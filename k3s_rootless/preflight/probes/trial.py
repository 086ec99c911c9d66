"""A trial of what rootlesskit will do: namespaces, the mapping of all ids, an overlay mount.

The trial runs in a child that ends at once. rootlesskit clones into a user and a PID namespace,
unshares the others, and maps the ids with newuidmap and newgidmap (rootlesskit 0.14 to 1.1,
pkg/parent/parent.go, with the options of K3s pkg/rootless/rootless.go). The child does the same
with system calls only, and writes nothing to the host. Its mounts are in its own mount namespace,
on its own tmpfs, and are gone when it ends.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from k3s_rootless.errors import CommandFailed
from k3s_rootless.linux.user_namespace import Child, error_number
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import SubidRange
from k3s_rootless.preflight.records import Trial

SECONDS = 5.0
# In the order of rootlesskit; the values are from include/uapi/linux/sched.h.
_SPACES = {
    "pid": 0x20000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
}
_REC_PRIVATE = 0x4000 | 0x40000
_NOT_TRIED = 0xFFFF
_NO_RESULT = "the child that creates namespaces exited, or sent no result in time"


class RunningTrial:
    """A trial in progress; `finish` or `end` ends it."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._child: Child | None = None
        self._problem = ""
        try:
            self._child = Child(partial(_unshare_others, libc), partial(_mount_overlay, libc))
        except OSError as error:
            self._problem = f"cannot start a child that creates namespaces: {error.strerror}"

    def finish(
        self, programs: Sequence[str | None], ranges: Sequence[Sequence[SubidRange]]
    ) -> Observed[Trial]:
        """Map the ids in the child, and return the results of all steps.

        `programs` are newuidmap and newgidmap, and `ranges` are the ranges of each.
        """
        if self._child is None:
            return Unknown(self._problem)
        try:
            return _results(self._child, programs, ranges)
        finally:
            self.end()

    def end(self) -> None:
        """End the child, and wait for it."""
        if self._child is not None:
            self._child.end()
        self._child = None


def _results(
    child: Child, programs: Sequence[str | None], ranges: Sequence[Sequence[SubidRange]]
) -> Observed[Trial]:
    # The deadline counts from here, because the child made its namespaces earlier.
    deadline = time.monotonic() + SECONDS
    mapped: dict[str, str | None] = {"newuidmap": None, "newgidmap": None}
    user = child.error(deadline)
    if user is None:
        return Unknown(_NO_RESULT)
    if user:
        return Known(Trial(user, {}, mapped), "unshare(CLONE_NEWUSER)")
    codes = _numbers(child, len(_SPACES), deadline)
    if codes is None:
        return Unknown(_NO_RESULT)
    spaces = dict(zip(_SPACES, codes, strict=True))
    own = (os.getuid(), os.getgid())
    for name, program, identity, found in zip(mapped, programs, own, ranges, strict=True):
        if program and found:
            mapped[name] = _map_error(child, program, identity, found)
    overlay = None
    if all(error == "" for error in mapped.values()) and not spaces["mnt"]:
        overlay = _overlay_error(child, deadline)
    return Known(
        Trial(user, spaces, mapped, overlay), "a child that created the namespaces of rootlesskit"
    )


def _overlay_error(child: Child, deadline: float) -> int | None:
    """Let the child mount an overlay, and return 0 or its errno; None if it was not tried."""
    child.proceed()
    answer = _numbers(child, 1, deadline)
    if not answer or answer[0] == _NOT_TRIED:
        return None
    return answer[0]


def _numbers(child: Child, count: int, deadline: float) -> list[int] | None:
    received = child.receive(2 * count, deadline)
    if received is None:
        return None
    return [int.from_bytes(received[at : at + 2], "little") for at in range(0, 2 * count, 2)]


def _map_error(child: Child, program: str, identity: int, ranges: Sequence[SubidRange]) -> str:
    """Return the first line that newuidmap or newgidmap prints on failure; empty on success."""
    try:
        done = child.map_ids(program, identity, ((one.start, one.count) for one in ranges), SECONDS)
    except CommandFailed as error:
        return error.message
    if done.status == 0:
        return ""
    return next(iter(done.stderr.strip().splitlines()), f"exit status {done.status}")


def _packed(*codes: int) -> bytes:
    return b"".join(code.to_bytes(2, "little") for code in codes)


def _unshare_others(libc: ctypes.CDLL) -> bytes:
    return _packed(*(error_number(partial(libc.unshare, flag)) for flag in _SPACES.values()))


def _mount_overlay(libc: ctypes.CDLL) -> bytes:
    return _packed(_overlay(libc))


def _overlay(libc: ctypes.CDLL) -> int:
    # If the module is not loaded, mount(2) would load it, which changes the host.
    if b"overlay" not in Path("/proc/filesystems").read_bytes().split():
        return _NOT_TRIED
    steps: tuple[Callable[[], int], ...] = (
        lambda: libc.mount(b"none", b"/", None, _REC_PRIVATE, None),
        lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=64k"),
    )
    if any(error_number(step) for step in steps):
        return _NOT_TRIED
    for name in ("lower", "upper", "work", "merged"):
        Path("/tmp", name).mkdir()  # noqa: S108 (on the child's own tmpfs)
    # containerd uses these options in a user namespace from Linux 5.11 on.
    options = b"userxattr,lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work"
    return error_number(lambda: libc.mount(b"overlay", b"/tmp/merged", b"overlay", 0, options))
