"""Performs steps, and decides nothing: every decision was made when the plan was."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import durable
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.service import plan
    from k3s_rootless.service.systemd import UserManager


def perform(step: plan.Step, manager: UserManager) -> None:
    """Do one step. Raises RootlessError; a step that failed left things as they were before it."""
    # Here, since `status` and `ports` load this module to read a unit file, and perform nothing.
    from k3s_rootless.service import plan

    match step:
        case plan.Reexecute():
            manager.reexecute()
        case plan.WriteUnit(path, text, _, backup):
            if backup is not None and (old := read(path)[0]) is not None:
                write(backup, old)
            write(path, text)
        case plan.Reload():
            manager.reload()
        case plan.ResetFailed(unit):
            manager.reset_failed(unit)
        case plan.Enable(unit):
            manager.enable(unit)
            manager.reload()
        case plan.Disable(unit):
            manager.disable(unit)
            manager.reload()
        case plan.Start(unit):
            manager.start(unit)
        case plan.Restart(unit):
            manager.restart(unit)
        case plan.Stop(unit):
            manager.stop(unit)


def read(path: Path) -> tuple[str | None, datetime | None]:
    """Read a unit file and the time it was written; (None, None) where there is none. Raises RootlessError."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read(), datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {durable.reason(error)}") from error


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: beside it first, synced to the disk, then renamed over it. Raises RootlessError."""
    try:
        _own_directory(path.parent)
        _sweep(path)
        with durable.staged(path, text.encode("utf-8", "surrogateescape"), 0o644) as new:
            new.replace(path)
        durable.sync(path.parent)
    except OSError as error:
        raise RootlessError(f"cannot write `{path}`: {durable.reason(error)}", hint=_hint(error, path)) from error


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Keep other changing commands of this user out; `on_wait` is called before waiting for one that is at work."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RootlessError(f"cannot open the lock `{path}`: {durable.reason(error)}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own_directory(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    owner = directory.stat().st_uid
    if owner != os.getuid():
        raise RootlessError(
            f"cannot write into `{directory}`: it belongs to uid {owner}",
            hint=f"give it back with an administrator's help: sudo chown -R $(id -u) {directory}",
        )


def _sweep(path: Path) -> None:
    # What a run that was killed between writing and renaming left; nobody else makes such names, and the lock is ours.
    for left in path.parent.glob(f".{path.name}.*{durable.SUFFIX}"):
        with suppress(OSError):
            left.unlink()


def _hint(error: OSError, path: Path) -> str | None:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"free some space first: df -h {path.parent}"
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return f"make the directory writable for you: ls -ld {path.parent}"
    return None
