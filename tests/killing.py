"""Kill a process before each of its changes of the file system, or its calls of systemd."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections.abc import Callable, Iterator

CHANGES = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.link", "os.rmdir", "os.chmod", "os.symlink")
)
"""Audit events of Python before a change of a file; `open` for writing is another one."""
STEP = "tests.step"
"""The audit event that a test raises before another change, such as a call over D-Bus."""
_MOST = 2000


def killed_at_many_points(work: Callable[[], object], step: int = 4) -> Iterator[int]:
    """Run `work` in a child that is killed before its first, fifth, ninth, … change of a file.

    Yields after each kill, until the child reaches its end. The caller restores the files, or lets
    the next child continue with what is left.
    """
    for point in range(1, _MOST, step):
        if _killed_at(work, point):
            return
        yield point
    raise AssertionError("the work has no end")


def _killed_at(work: Callable[[], object], point: int) -> bool:
    child = os.fork()
    if child == 0:
        _work_until(work, point)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def _work_until(work: Callable[[], object], point: int) -> None:
    # Shared with a child in a user namespace, which unpacks and removes volumes.
    left = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
    left[0] = point
    main = os.getpid()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if event in CHANGES or event == STEP or writes:
            left[0] -= 1
            if left[0] == 0:
                os.kill(main, signal.SIGKILL)

    try:
        sys.addaudithook(hook)
        work()
    except BaseException:  # noqa: BLE001 (a child must not return into pytest)
        os._exit(1)
    os._exit(0)
