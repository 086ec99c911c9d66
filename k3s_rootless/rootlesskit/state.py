"""rootlesskit's state directory: its path, its files, and whether a rootlesskit uses it.

The path depends on the release (K3s #9308): `<data directory>/rootless`, or, before,
`$TMPDIR/rootless<digits>`, where an unclean stop leaves stale directories behind. rootlesskit holds
a lock in the directory while it runs (flock(2), its pkg/parent).

rootlesskit removes the whole directory when it exits normally. After SIGKILL or a power cut the
directory stays, and K3s never clears it (rootlesskit's own program does): `child_pid` cannot be
written again (its mode is 0444), `.bp.sock` prevents the port driver from listening, and `api.sock`
refuses connections until it is created again (K3s v1.26.14, v1.27.11, v1.28.7, v1.29.2 and later;
rootlesskit pkg/parent).
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import features
from k3s_rootless.rootlesskit.names import API_SOCKET, CHILD_PID, LEFTOVERS, LOCK

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version

_ANSWER_SECONDS = 1.0
_LONGEST_PID = 32


def sockets(settings: Settings, version: Version | None, *, uid: int) -> tuple[Path, ...]:
    """List the possible paths of the API socket, the most likely path first.

    Both locations are listed without a version, and for a build between releases, because its
    number does not show which changes it contains. In the directory for temporary files, only
    directories of `uid` are listed, the newest first: every user can create such a directory.
    """
    fixed = (settings.rootlesskit_state / API_SOCKET,)
    if version is None or version.commit_build:
        return fixed + _temporary(settings.temporary, uid)
    if features.FIXED_STATE_DIRECTORY.holds(version):
        return fixed
    return _temporary(settings.temporary, uid)


def of_process(process: int, root: Path = Path("/")) -> Path | None:
    """Return the state directory of a running rootlesskit; None if it holds no lock.

    The directory is found by the lock file, which rootlesskit keeps open.
    """
    try:
        links = [entry.readlink() for entry in (root / f"proc/{process}/fd").iterdir()]
    except OSError:
        return None
    return next((link.parent for link in links if link.name == LOCK and link.is_absolute()), None)


def child(directory: Path) -> int:
    """Return the process that owns the child's namespaces.

    Raises OSError, and ValueError if the file contains no number.
    """
    with (directory / CHILD_PID).open("rb") as file:
        return int(file.read(_LONGEST_PID))


def has_child(directories: Iterable[Path], *, since: datetime | None) -> bool:
    """Return whether a child is running that was created at or after `since`.

    A stop that was not clean leaves the PID of an ended child behind.
    """
    return any(_has_child(one, since) for one in directories)


def is_held(directory: Path) -> bool:
    """Return whether a rootlesskit uses a state directory."""
    return atomic.is_locked(directory / LOCK)


def files(directory: Path) -> tuple[Path, ...]:
    """List rootlesskit's files in its state directory, left behind or in use. Raises OSError."""
    return tuple(path for name in LEFTOVERS if _exists(path := directory / name))


def leftovers(directory: Path, uid: int) -> tuple[Path, ...]:
    """List the leftover files in a state directory of `uid` that no rootlesskit uses.

    The list is empty if a rootlesskit may use the directory, or if this is unknown.
    """
    try:
        found = files(directory)
        if not found or _owner(directory) != uid:
            return ()
        with held(directory) if _exists(directory / LOCK) else nullcontext():
            return () if any(map(answers, found)) else found
    except (OSError, RootlessError):
        return ()


@contextmanager
def held(directory: Path, *, create: bool = False) -> Iterator[None]:
    """Hold the lock of a state directory, so that no rootlesskit can start there.

    Raises RootlessError if a rootlesskit uses the directory, and OSError if the lock file does not
    exist and `create` is False.
    """
    how = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    descriptor = os.open(directory / LOCK, how | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RootlessError(
            f"cannot clear `{directory}`: a running K3s uses it",
            hint="stop this K3s first; find it with: ps -fu $(id -u)",
        ) from None
    finally:
        os.close(descriptor)


def answers(path: Path) -> bool:
    """Return whether a process may be listening on a socket; False if the path is not a socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_SECONDS)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # a full queue, or a socket of another user: a process may listen
    return True


def _temporary(directory: Path, uid: int) -> tuple[Path, ...]:
    found = []
    for state in directory.glob("rootless*"):
        try:
            owner, made = state.lstat(), (state / API_SOCKET).lstat()
        except OSError:
            continue
        if stat.S_ISDIR(owner.st_mode) and owner.st_uid == uid:
            found.append((made.st_mtime_ns, state / API_SOCKET))
    return tuple(path for _, path in sorted(found, reverse=True))


def _has_child(directory: Path, since: datetime | None) -> bool:
    try:
        written = datetime.fromtimestamp((directory / CHILD_PID).stat().st_mtime, UTC)
        if since is not None and written < since:
            return False
        return Path(f"/proc/{child(directory)}").exists()
    except (OSError, ValueError):
        return False


def _owner(directory: Path) -> int:
    found = directory.lstat()
    return found.st_uid if stat.S_ISDIR(found.st_mode) else -1


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
