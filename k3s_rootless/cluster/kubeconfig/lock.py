"""The lock of client-go: `FILE.lock`, which must not exist (tools/clientcmd/loader.go).

kubectl creates it with mode 0, never waits, and never removes the lock of another process. A
process that is killed leaves it behind, and blocks every later change. So our own lock has a
content, and is held with flock(2) as well: a lock of ours that no process holds is removed by the
next run.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError

SUFFIX = ".lock"
SECONDS = 5.0
"""The time to wait for a lock; kubectl holds it for milliseconds."""
_PAUSE = 0.05
_CONTENT = b"k3s-rootless\n"
_LARGEST = 64


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that another program holds, or left behind; `age` is in seconds."""

    path: Path
    age: float
    inode: int


class LockHeld(RootlessError):
    """A lock was not released in time."""

    def __init__(self, held: Held) -> None:
        super().__init__(
            f"cannot lock `{held.path.with_suffix('')}`: `{held.path}` exists, since"
            f" {_length(held.age)}",
            hint=(
                "another program is changing this kubeconfig, or was killed; if none is, remove"
                f" the lock: rm -f {shlex.quote(str(held.path))}"
            ),
        )
        self.held = held


@contextmanager
def locked(files: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of these files, taken in sorted order as client-go does.

    Raises LockHeld if a lock is not released within SECONDS, RootlessError.
    """
    end = time.monotonic() + SECONDS
    with ExitStack() as held:
        for file in sorted(set(files), key=str):
            held.enter_context(_locked(file.with_name(f"{file.name}{SUFFIX}"), end))
        yield


def release(held: Held) -> None:
    """Remove a lock that another program left behind, if it is still the same lock.

    Raises RootlessError.
    """
    try:
        if held.path.lstat().st_ino == held.inode:
            held.path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(held.path, error) from error


@contextmanager
def _locked(path: Path, end: float) -> Iterator[None]:
    try:
        atomic.make_directory(path.parent)
        descriptor = _wait(path, end)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            # A user may have removed this lock, and another program created its own.
            if _inode(path) == os.fstat(descriptor).st_ino:
                path.unlink()
        os.close(descriptor)


def _wait(path: Path, end: float) -> int:
    """Create the lock, and return its descriptor. Raises LockHeld, OSError."""
    atomic.sweep(path.parent, re.escape(path.name[:200]))
    while True:
        descriptor = _create(path)
        if descriptor is not None:
            return descriptor
        if _remove_ours(path):
            continue
        if time.monotonic() >= end:
            held = _held(path)
            if held is not None:
                raise LockHeld(held)
        time.sleep(_PAUSE)


def _create(path: Path) -> int | None:
    """Create the lock with its content at once; None if it exists. Raises OSError."""
    with _new(path) as (descriptor, new):
        try:
            atomic.place(new, path)
        except FileExistsError:
            return None
        return os.dup(descriptor)


@contextmanager
def _new(path: Path) -> Iterator[tuple[int, Path]]:
    with atomic.being_written(path) as (file, new):
        file.write(_CONTENT)
        file.flush()
        yield file.fileno(), new


def _remove_ours(path: Path) -> bool:
    """Remove a lock of ours that no process holds; return whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        # Another run may have removed this lock and created its own in the meantime.
        if not ours or os.read(descriptor, _LARGEST) != _CONTENT or _inode(path) != found.st_ino:
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _inode(path: Path) -> int:
    return path.lstat().st_ino


def _held(path: Path) -> Held | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return Held(path, max(0.0, time.time() - found.st_mtime), found.st_ino)


def _failed(path: Path, error: OSError) -> RootlessError:
    return RootlessError(f"cannot create the lock `{path}`: {atomic.reason(error)}")


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
