"""The lock that shows that the process of `run` is alive."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock on the file `path`, and remove the file at the end.

    The kernel releases the lock when this process ends. No child inherits it. Raises RootlessError
    if another process holds it.
    """
    descriptor = _locked(path)
    try:
        yield
    finally:
        if _is_at(path, descriptor):
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RootlessError(f"cannot open the lock `{path}`: {atomic.reason(error)}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise _refused(path, error) from error
        if _is_at(path, descriptor):
            return descriptor
        # An earlier `run` has removed the file between the two calls.
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> RootlessError:
    if isinstance(error, BlockingIOError):
        return RootlessError(
            "cannot run K3s in this terminal: another `k3s-rootless run` is active",
            hint="stop it in its own terminal with Ctrl-C, or from here with: k3s-rootless down",
        )
    return RootlessError(f"cannot lock `{path}`: {atomic.reason(error)}")


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
