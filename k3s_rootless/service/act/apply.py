"""Perform steps, and decide nothing: each decision was made when the plan was made."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import OUR_DROP_IN, UNIT
from k3s_rootless.printable import printable
from k3s_rootless.rootlesskit import state
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import steps

if TYPE_CHECKING:
    from k3s_rootless.service.facts import FoundFile
    from k3s_rootless.service.systemd.user import UserManager

ROTATION_SECONDS = 300.0
"""How long `k3s certificate rotate` may take: a K3s that is new here unpacks itself first."""
_LEFT = re.compile(rf"\.(?:{re.escape(UNIT)}|{OUR_DROP_IN.pattern})\..*{re.escape(atomic.SUFFIX)}")


def perform(step: steps.Step, manager: UserManager) -> None:
    """Do one step. Raises RootlessError; a step that failed left things as they were before it."""
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
    """Do one step that changes a file, without a user manager. Raises RootlessError."""
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
            # Not empty, or not ours to remove: then it stays, and nothing depends on it.
            with suppress(OSError):
                path.rmdir()
        case _:
            raise TypeError(step)


def clear_state(paths: Sequence[Path]) -> None:
    """Remove what a K3s that was killed left in the state directory of its rootlesskit, while no
    other can start there.

    Raises RootlessError if a rootlesskit lives there.
    """
    for directory in dict.fromkeys(path.parent for path in paths):
        try:
            with state.held(directory, create=True):
                for path in paths:
                    if path.parent == directory and not state.answers(path):
                        path.unlink(missing_ok=True)
        except OSError as error:
            raise RootlessError(f"cannot clear `{directory}`: {atomic.reason(error)}") from error


def _rotate(step: steps.RotateCertificates, manager: UserManager) -> None:
    """Run `k3s certificate rotate`. Raises RootlessError if K3s runs, or if the command fails."""
    runs = ""
    found = manager.unit(step.unit).active_state
    if found not in {"inactive", "failed", ""}:
        runs = f"the unit is {found}"
    elif state.is_held(step.state):
        runs = f"a K3s that the unit did not start uses {step.state.parent}"
    if runs:
        raise RootlessError(
            f"cannot renew K3s's certificates: {runs}", hint="stop it first: k3s-rootless down"
        )
    done = command.run(step.argv, timeout=ROTATION_SECONDS, environ=step.environ)
    if done.status != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        message = f"`{' '.join(step.argv)}` ended with status {done.status}: {printable(said)}"
        raise RootlessError(f"cannot renew K3s's certificates: {message}")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all: beside it first, synced to the disk, then renamed over it.

    Raises RootlessError.
    """
    try:
        _own_directory(path.parent)
        _sweep(path)
        with atomic.staged(path, text.encode("utf-8", "surrogateescape"), mode) as new:
            new.replace(path)
        atomic.sync(path.parent)
    except OSError as error:
        raise RootlessError(
            f"cannot write `{path}`: {atomic.reason(error)}", hint=_hint(error, path)
        ) from error


def put_back(found: FoundFile) -> None:
    """Make a file what it was when it was read: the text and mode of a file, a link, or nothing.

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
    try:
        _own_directory(path.parent)
        _sweep(path)
        new.symlink_to(target)
        new.replace(path)
        atomic.sync(path.parent)
    except OSError as error:
        raise RootlessError(
            f"cannot write `{path}`: {atomic.reason(error)}", hint=_hint(error, path)
        ) from error


def remove(path: Path) -> None:
    """Remove a file, or a link and not what it leads to; one that is not there is removed.

    Raises RootlessError.
    """
    try:
        if not path.parent.exists():
            return
        _own_directory(path.parent)
        _sweep(path)
        path.unlink(missing_ok=True)
        atomic.sync(path.parent)
    except OSError as error:
        raise RootlessError(
            f"cannot remove `{path}`: {atomic.reason(error)}", hint=_hint(error, path)
        ) from error


def _set_mode(path: Path, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RootlessError(
            f"cannot set the mode of `{path}`: {atomic.reason(error)}", hint=_hint(error, path)
        ) from error


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Keep other changing commands of this user out; `on_wait` is called before waiting for one
    that is at work.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RootlessError(f"cannot open the lock `{path}`: {atomic.reason(error)}") from error
    try:
        _lock(path, descriptor, on_wait)
        yield
    finally:
        # Nothing was written into it, and the lock goes with this process at the latest.
        with suppress(OSError):
            os.close(descriptor)


def _lock(path: Path, descriptor: int, on_wait: Callable[[], None]) -> None:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise RootlessError(f"cannot lock `{path}`: {atomic.reason(error)}") from error


def _keep(path: Path, backup: Path | None) -> None:
    """Keep a copy of a file under `backup`, if that is named."""
    if backup is None:
        return
    old = files.read(path)
    if old.text is not None:
        # Its own mode, and never more than its writer had: it may hold secrets.
        write(backup, old.text, old.mode & 0o644 | 0o600)


def _own_directory(directory: Path) -> None:
    """Make a directory, and raise RootlessError if other users can write into it."""
    if not directory.exists():
        atomic.make_directory(directory)
    found = directory.stat()
    if found.st_uid != os.getuid():
        raise RootlessError(
            f"cannot write into `{directory}`: it belongs to uid {found.st_uid}",
            hint=(
                "ask an administrator to give the directory to you; nothing else in it has to"
                " change"
            ),
        )
    if found.st_mode & stat.S_IWOTH:
        raise RootlessError(
            f"cannot write into `{directory}`: every user may write there",
            hint=f"keep them out: chmod o-w {directory}",
        )


def _sweep(path: Path) -> None:
    # What a run that was killed between writing and renaming left; nobody else makes such names,
    # and the lock is ours.
    for left in path.parent.glob(f".{path.name}.*{atomic.SUFFIX}"):
        with suppress(OSError):
            left.unlink()


def sweep(directory: Path) -> None:
    """Remove what runs that were killed left of files of the unit in this directory; to be called
    under the lock.
    """
    with suppress(OSError):
        for path in directory.iterdir():
            if _LEFT.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()


def _hint(error: OSError, path: Path) -> str | None:
    # The directory may be what could not be made.
    place = next((one for one in path.parents if os.access(one, os.F_OK)), path.parent)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"free some space first: df -h {place}"
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return f"make the directory writable for you: ls -ld {place}"
    return None
