"""Cache, and the directories of running machines in it.

Directories of dead drivers are removed by the next driver.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tests.vm.errors import VmError

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "vm"
LIVE = CACHE / "live"
"""Link to the directory of the machine that the command line booted."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Prevent other processes from changing the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Place:
    """Directory for one run of a machine; the running driver holds its lock."""

    def __init__(self) -> None:
        with one_at_a_time():
            _sweep()
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
            self._lock = (self.path / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.path / "driver").write_text(str(os.getpid()))

    def clear(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def live() -> Path:
    """Return the directory of the machine that the command line booted."""
    try:
        path = LIVE.resolve(strict=True)
        with (path / "lock").open("w") as lock:
            alive = not _free(lock)
    except OSError:
        alive = False
    if not alive:
        raise VmError("no machine is running (boot one: python -m tests.vm boot)")
    return path


def _sweep() -> None:
    for path in CACHE.glob("run-*"):
        # A directory without a lock file never had a running machine.
        with suppress(FileNotFoundError), (path / "lock").open("r") as lock:
            if not _free(lock):
                continue
        shutil.rmtree(path, ignore_errors=True)


def _free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
