"""Performers of the steps of a plan.

They make no decisions: all decisions are in the plan.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import OUR_DROP_IN, UNIT
from k3s_rootless.printable import printable
from k3s_rootless.rootlesskit import state
from k3s_rootless.service.act.clear_state import clear_state
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import steps

if TYPE_CHECKING:
    from k3s_rootless.service.facts import FoundFile
    from k3s_rootless.service.systemd.user import UserManager

ROTATION_SECONDS = 300.0
"""Time limit for `k3s certificate rotate`.

A K3s that runs for the first time unpacks itself first.
"""
_LEFT = re.compile(rf"\.(?:{re.escape(UNIT)}|{OUR_DROP_IN.pattern})\..*{re.escape(atomic.SUFFIX)}")


def perform(step: steps.Step, manager: UserManager) -> None:
    """Perform one step.

    Raises RootlessError. A step that fails changes nothing.
    """
    match step:
        case steps.WriteFile() | steps.SetMode() | steps.Remove() | steps.RemoveDirectory():
            change_file(step)
        case steps.Reexecute():
            manager.reexecute()
        case steps.Reload():
            manager.reload()
        case steps.ClearState(paths):
            clear_state(paths)
        case steps.RotateCertificates():
            _rotate(step, manager)
        case steps.ResetFailed(unit):
            manager.reset_failed(unit)
        case steps.Enable(unit):
            manager.enable(unit)
            manager.reload()
        case steps.Disable(unit):
            manager.disable(unit)
            manager.reload()
        case steps.Start(unit):
            manager.start(unit)
        case steps.Restart(unit):
            manager.restart(unit)
        case steps.Stop(unit):
            manager.stop(unit)


def change_file(step: steps.Step) -> None:
    """Perform one step that changes a file, without a user manager.

    Raises RootlessError.
    """
    match step:
        case steps.WriteFile(path, text, _, backup, mode):
            _keep(path, backup)
            write(path, text, mode)
        case steps.SetMode(path, mode):
            _set_mode(path, mode)
        case steps.Remove(path, _, backup):
            _keep(path, backup)
            remove(path)
        case steps.RemoveDirectory(path):
            # A directory that is not empty, or that cannot be removed, is kept; nothing depends on
            # it.
            with suppress(OSError):
                path.rmdir()
        case _:
            raise TypeError(step)


def _rotate(step: steps.RotateCertificates, manager: UserManager) -> None:
    """Run `k3s certificate rotate`.

    Raises RootlessError if K3s runs, or if the command fails.
    """
    in_use = ""
    found = manager.unit(step.unit)
    if not found.at_rest:
        in_use = f"the unit is {found.active_state}"
    elif state.is_held(step.state):
        in_use = f"a K3s that was not started by the unit uses {step.state.parent}"
    if in_use:
        raise RootlessError(
            f"cannot renew K3s's certificates: {in_use}", hint="stop K3s first: k3s-rootless down"
        )
    done = command.run(step.argv, timeout=ROTATION_SECONDS, environ=step.environ)
    if done.status != 0:
        line = done.last_line or "no output"
        message = f"`{' '.join(step.argv)}` exited with status {done.status}: {printable(line)}"
        raise RootlessError(f"cannot renew K3s's certificates: {message}")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file atomically.

    A temporary file beside it is synced to the disk and then renamed to `path`. Raises
    RootlessError.
    """
    with _reported("write", path):
        _own_directory(path.parent)
        _sweep(path)
        atomic.write(path, text.encode("utf-8", "surrogateescape"), mode)


def put_back(found: FoundFile) -> None:
    """Restore a file as it was read: its text and mode, a link, or no file.

    Raises RootlessError.
    """
    if found.link:
        _link(found.path, found.target)
    elif found.text is None:
        remove(found.path)
    else:
        write(found.path, found.text, found.mode)


def _link(path: Path, target: str) -> None:
    new = path.with_name(f".{path.name[:200]}.link{atomic.SUFFIX}")
    with _reported("write", path):
        _own_directory(path.parent)
        _sweep(path)
        new.symlink_to(target)
        new.replace(path)
        atomic.sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file, or a link but not its target; do nothing if there is none.

    Raises RootlessError.
    """
    with _reported("remove", path):
        if not path.parent.exists():
            return
        _own_directory(path.parent)
        _sweep(path)
        atomic.remove(path)


def _set_mode(path: Path, mode: int) -> None:
    with _reported("set the mode of", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


@contextmanager
def _reported(action: str, path: Path) -> Iterator[None]:
    """Report a failed change of a file, with its reason and a hint. Raises RootlessError."""
    try:
        yield
    except OSError as error:
        raise RootlessError(
            f"cannot {action} `{path}`: {atomic.reason(error)}", hint=atomic.hint(error, path)
        ) from error


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock against other changing commands of this user.

    If another command holds the lock, `on_wait` is called before the wait. Raises RootlessError.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RootlessError(f"cannot open the lock `{path}`: {atomic.reason(error)}") from error
    try:
        _lock(path, descriptor, on_wait)
        yield
    finally:
        # The file holds no data, and the lock ends with this process at the latest.
        with suppress(OSError):
            os.close(descriptor)


def _lock(path: Path, descriptor: int, on_wait: Callable[[], None]) -> None:
    try:
        atomic.lock(descriptor, on_wait)
    except OSError as error:
        raise RootlessError(f"cannot lock `{path}`: {atomic.reason(error)}") from error


def _keep(path: Path, backup: Path | None) -> None:
    """Copy a file to `backup`, if that is set."""
    if backup is None:
        return
    old = files.read(path)
    if old.text is not None:
        # The backup gets the mode of the file, and at most 0644, because the file may contain
        # secrets.
        write(backup, old.text, old.mode & 0o644 | 0o600)


def _own_directory(directory: Path) -> None:
    """Create a directory if it does not exist.

    Raises RootlessError if the directory belongs to another user, or if other users can write to
    it.
    """
    if not directory.exists():
        atomic.make_directory(directory)
    found = directory.stat()
    if found.st_uid != os.getuid():
        raise RootlessError(
            f"cannot write to `{directory}`: it belongs to uid {found.st_uid}",
            hint=(
                "ask an administrator to make you the owner of this directory; the files in it do"
                " not have to change"
            ),
        )
    if found.st_mode & stat.S_IWOTH:
        raise RootlessError(
            f"cannot write to `{directory}`: every user can write to it",
            hint=f"remove the write permission of other users: chmod o-w {directory}",
        )


def _sweep(path: Path) -> None:
    # Files of a run that was killed between write and rename. No other program uses such names, and
    # this process holds the lock.
    for left in path.parent.glob(f".{path.name}.*{atomic.SUFFIX}"):
        with suppress(OSError):
            left.unlink()


def sweep(directory: Path) -> None:
    """Remove the temporary files of the unit that killed runs left in this directory.

    Call it under the lock.
    """
    with suppress(OSError):
        for path in directory.iterdir():
            if _LEFT.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
