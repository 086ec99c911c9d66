"""Tries what rootlesskit will do, in a child that ends at once: namespaces, the mapping of all ids,
and an overlay mount.

rootlesskit clones into a user and a PID namespace, unshares the others, and maps the ids with
newuidmap and newgidmap (rootlesskit 0.14 to 1.1, pkg/parent/parent.go, with the options of K3s
pkg/rootless/rootless.go). The child does the same with no more than system calls, so nothing is
written, and with its end all of it is gone: what it mounts lies in its own mount namespace, on a
tmpfs of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import SubidRange
from k3s_rootless.preflight.records import Trial

SECONDS = 5.0
_NEWUSER = 0x10000000
# In the order of rootlesskit; include/uapi/linux/sched.h.
_SPACES = {
    "pid": 0x20000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
}
_REC_PRIVATE = 0x4000 | 0x40000
_SET_DEATH_SIGNAL = 1
_NOT_TRIED = 0xFFFF


class Trying:
    """A trial under way; `finish` or `end` ends it.

    The child is a fork of this process, which may be at anything: it keeps no descriptor but its
    own, and takes no lock.
    """

    def __init__(self) -> None:
        self._child = 0
        self._begun = time.monotonic()
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._reading, writing = os.pipe()
            go, self._going = os.pipe()
            self._child = os.fork()
        except OSError as error:
            self._problem = f"there can be no child to try it: {error.strerror}"
            return
        if self._child == 0:
            with contextlib.suppress(BaseException):
                _try(libc, go, writing)
            os._exit(0)
        self._problem = ""
        os.close(writing)
        os.close(go)

    def finish(
        self, programs: Sequence[str | None], ranges: Sequence[Sequence[SubidRange]]
    ) -> Observed[Trial]:
        """Map the ids (`programs` are newuidmap and newgidmap, `ranges` those of each), and return
        how all of it went.
        """
        if self._problem:
            return Unknown(self._problem)
        # From now on: the child made its namespaces before this.
        self._begun = time.monotonic()
        try:
            return self._finish(programs, ranges)
        finally:
            self.end()

    def end(self) -> None:
        """End the child, and wait for it."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            # The caller may have set SIGCHLD to be ignored, and then the kernel takes ended
            # children away by itself.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            os.close(self._reading)
            os.close(self._going)
        self._child = 0

    def _finish(
        self, programs: Sequence[str | None], ranges: Sequence[Sequence[SubidRange]]
    ) -> Observed[Trial]:
        first = self._numbers(1 + len(_SPACES))
        if first is None:
            return Unknown(
                "the child that was to make namespaces died first, or gave no answer in time"
            )
        user, *codes = first
        mapped: dict[str, str | None] = {"newuidmap": None, "newgidmap": None}
        if user:
            return Known(Trial(user, {}, mapped), "unshare(CLONE_NEWUSER)")
        tried = zip(_SPACES, codes, strict=True)
        spaces = {name: code for name, code in tried if code != _NOT_TRIED}
        own = (os.getuid(), os.getgid())
        for name, program, identity, found in zip(mapped, programs, own, ranges, strict=True):
            if program and found:
                mapped[name] = _map(program, self._child, identity, found)
        overlay = None
        if all(complaint == "" for complaint in mapped.values()) and not spaces.get("mnt"):
            overlay = self._overlay()
        return Known(
            Trial(user, spaces, mapped, overlay), "a child that made the namespaces of rootlesskit"
        )

    def _overlay(self) -> int | None:
        """Let the child mount an overlay, and return 0 or its errno; None if it was not tried."""
        os.write(self._going, b"1")
        answer = self._numbers(1)
        if not answer or answer[0] == _NOT_TRIED:
            return None
        return answer[0]

    def _numbers(self, count: int) -> list[int] | None:
        received = b""
        while len(received) < 2 * count:
            left = self._begun + SECONDS - time.monotonic()
            if left <= 0 or not select.select([self._reading], [], [], left)[0]:
                return None
            part = os.read(self._reading, 2 * count - len(received))
            if not part:
                return None
            received += part
        return [int.from_bytes(received[at : at + 2], "little") for at in range(0, 2 * count, 2)]


def _map(program: str, child: int, identity: int, ranges: Sequence[SubidRange]) -> str:
    """Map the ids of a child; return the complaint of the program, empty if it mapped all."""
    words = ["0", str(identity), "1"]
    inside = 1
    for one in ranges:
        words += [str(inside), str(one.start), str(one.count)]
        inside += one.count
    try:
        done = command.run([program, str(child), *words], timeout=SECONDS)
    except CommandFailed as error:
        return error.message
    if done.status == 0:
        return ""
    return next(iter(done.stderr.strip().splitlines()), f"exit status {done.status}")


def _try(libc: ctypes.CDLL, go: int, writing: int) -> None:
    libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    _keep_only(go, writing)
    user = _errno(partial(libc.unshare, _NEWUSER))
    codes = [_NOT_TRIED] * len(_SPACES)
    if not user:
        codes = [_errno(partial(libc.unshare, flag)) for flag in _SPACES.values()]
    os.write(writing, b"".join(code.to_bytes(2, "little") for code in (user, *codes)))
    if os.read(go, 1):
        os.write(writing, _overlay(libc).to_bytes(2, "little"))
        os.read(go, 1)


def _keep_only(*kept: int) -> None:
    # A thread may be starting a program just now: as long as its pipe is open here, Popen takes the
    # program for one that was not executed yet, and holds up all others, perhaps the one that this
    # trial waits for. By name: a range may be endless.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (numbers, no paths)
        if int(name) not in {0, 1, 2, *kept}:
            with contextlib.suppress(OSError):  # the directory's own, which is closed by now
                os.close(int(name))


def _errno(call: Callable[[], int]) -> int:
    if call() == 0:
        return 0
    return ctypes.get_errno()


def _overlay(libc: ctypes.CDLL) -> int:
    # Without the module, mount(2) would load it: that is a change to the host.
    if b"overlay" not in Path("/proc/filesystems").read_bytes().split():
        return _NOT_TRIED
    steps: tuple[Callable[[], int], ...] = (
        lambda: libc.mount(b"none", b"/", None, _REC_PRIVATE, None),
        lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=64k"),
    )
    if any(_errno(step) for step in steps):
        return _NOT_TRIED
    for name in ("lower", "upper", "work", "merged"):
        Path("/tmp", name).mkdir()  # noqa: S108 (a tmpfs of this child's own)
    # As containerd mounts it in a user namespace from Linux 5.11 on.
    options = b"userxattr,lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work"
    return _errno(lambda: libc.mount(b"overlay", b"/tmp/merged", b"overlay", 0, options))
