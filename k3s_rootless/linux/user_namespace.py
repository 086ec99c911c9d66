"""Run a child process as root of a user namespace, with the user's subordinate ids.

The kernel allows a user to map ids only through newuidmap and newgidmap, which the parent runs for
the child. The child keeps the mounts of its parent, unless `prepare` unshares them. The child can
also join a namespace that exists, if the user owns it.
"""

from __future__ import annotations

import ctypes

# Loaded before any fork: logging takes a lock around each fork. If another thread loaded it during
# a fork, the lock would be released without having been taken, with a traceback.
import logging  # noqa: F401
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from k3s_rootless import command

CLONE_NEWUSER = 0x10000000
_SET_DEATH_SIGNAL = 1
_LONGEST_READ = 65536


class Child:
    """A fork of this process.

    The fork is safe at any time: the child closes all descriptors except its own and the standard
    ones, takes no lock, and is killed if its parent ends.
    """

    def __init__(
        self,
        prepare: Callable[[], bytes],
        work: Callable[[], bytes],
        *,
        keep: Sequence[int] = (),
        joined: int | None = None,
    ) -> None:
        """Fork.

        The child unshares its user namespace and writes the error number (0 for success, see
        `error`). If there was no error, it then writes the result of `prepare`. After `proceed`, it
        becomes root and writes the result of `work`. `keep` are descriptors that stay open in the
        child. `joined` is a descriptor of a user namespace that the child joins instead of a new
        one. Raises OSError.
        """
        # Loaded before the fork: the child of a process with threads must not need their locks.
        libc = ctypes.CDLL(None, use_errno=True)
        self._reading, writing = os.pipe()
        go, self._going = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            with suppress(BaseException):
                _end_with(parent, libc)
                failed = _enter(libc, joined)
                _keep_only(go, writing, *keep)
                _prepare_and_work(libc, failed, parent, (go, writing), (prepare, work))
            os._exit(0)
        os.close(writing)
        os.close(go)

    def error(self, deadline: float | None = None) -> int | None:
        """Return the error number of creating the namespace, 0 for success.

        Return None if the child exited, or did not respond before the deadline (`time.monotonic`).
        """
        received = self.receive(2, deadline)
        return None if received is None else int.from_bytes(received, "little")

    def receive(self, count: int, deadline: float | None = None) -> bytes | None:
        """Return the next `count` bytes from the child.

        Return None if the child ended, or did not write them before the deadline.
        """
        received = b""
        while len(received) < count:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._reading], [], [], left)[0]:
                return None
            part = os.read(self._reading, count - len(received))
            if not part:
                return None
            received += part
        return received

    def receive_all(self) -> bytes:
        """Return all bytes that the child writes until it ends."""
        return b"".join(iter(lambda: os.read(self._reading, _LONGEST_READ), b""))

    def map_ids(
        self, program: str, own: int, ranges: Iterable[tuple[int, int]], seconds: float
    ) -> command.Output:
        """Run newuidmap or newgidmap for the child.

        The id 0 of the child is mapped to the id `own`, and the ids from 1 on to the ranges. Each
        range is a first id and a count. Raises CommandFailed.
        """
        argv = [program, str(self._pid), "0", str(own), "1"]
        inside = 1
        for first, count in ranges:
            argv += [str(inside), str(first), str(count)]
            inside += count
        return command.run(argv, timeout=seconds)

    def proceed(self) -> None:
        """Allow the child to run `work`, after its ids are mapped."""
        with suppress(BrokenPipeError):
            os.write(self._going, b"y")

    def end(self) -> None:
        """Kill the child if it is still running, and wait for it."""
        os.kill(self._pid, signal.SIGKILL)
        # If a caller ignores SIGCHLD, the kernel removes ended children automatically.
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        os.close(self._reading)
        os.close(self._going)


def error_number(call: Callable[[], int]) -> int:
    """Return the error number of a libc call, loaded with `use_errno`; 0 for success."""
    return 0 if call() == 0 else ctypes.get_errno()


def _enter(libc: ctypes.CDLL, joined: int | None) -> int:
    if joined is None:
        return error_number(lambda: libc.unshare(CLONE_NEWUSER))
    return error_number(lambda: libc.setns(joined, CLONE_NEWUSER))


def _prepare_and_work(
    libc: ctypes.CDLL,
    failed: int,
    parent: int,
    pipes: tuple[int, int],
    steps: tuple[Callable[[], bytes], Callable[[], bytes]],
) -> None:
    go, writing = pipes
    prepare, work = steps
    os.write(writing, failed.to_bytes(2, "little") + (b"" if failed else prepare()))
    if failed or not os.read(go, 1):
        return
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # Set again, because a change of credentials clears it (prctl(2), PR_SET_PDEATHSIG).
    _end_with(parent, libc)
    with open(writing, "wb", closefd=False) as pipe:
        pipe.write(work())


def _end_with(parent: int, libc: ctypes.CDLL) -> None:
    # Check the parent afterwards: a parent that has already ended sends no signal.
    if libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) != 0 or os.getppid() != parent:
        os._exit(1)


def _keep_only(*kept: int) -> None:
    # Another thread may be starting a program at this moment. As long as the pipe of that program
    # is open here, Popen assumes that the program is not executed yet, and blocks all other
    # threads. One of them may be the thread that maps the ids of this child. The descriptors are
    # listed, because a range of all possible numbers may be endless.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (names are numbers, not paths)
        if int(name) not in {0, 1, 2, *kept}:
            with suppress(OSError):  # the descriptor of the listing itself is closed already
                os.close(int(name))
