"""What a K3s that was killed, or lost its power, left in the state directory of its rootlesskit.

rootlesskit removes the whole directory when it ends in order. After SIGKILL or a power cut it
stays, and K3s never clears it (rootlesskit's own program does): `child_pid` cannot be written again
(its mode is 0444), `.bp.sock` keeps the port driver from listening, and `api.sock` refuses until it
is made anew (K3s v1.26.14, v1.27.11, v1.28.7, v1.29.2 and later; rootlesskit pkg/parent). The lock
stays: it is a lock only while it is held.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError

NAMES = ("child_pid", "api.sock", ".bp.sock", ".bp-ready.pipe", ".s4nn.sock")
LOCK = "lock"
_ANSWER_SECONDS = 1.0


def of(directory: Path, uid: int) -> tuple[Path, ...]:
    """List what is left in a state directory of `uid` where nothing lives; nothing where something
    may, or nobody knows.
    """
    try:
        found = tuple(path for name in NAMES if _is_there(path := directory / name))
        if not found or _owner(directory) != uid:
            return ()
        with _held(directory, os.O_RDONLY) if _is_there(directory / LOCK) else nullcontext():
            return () if any(map(_answers, found)) else found
    except (OSError, RootlessError):
        return ()


def is_held(directory: Path) -> bool:
    """Tell whether a rootlesskit lives in a state directory: whether somebody holds its lock."""
    try:
        with _held(directory, os.O_RDONLY):
            return False
    except RootlessError:
        return True
    except OSError:
        return False


def clear(paths: Sequence[Path]) -> None:
    """Remove what was left behind, while keeping out whoever would start there.

    Raises RootlessError where something lives.
    """
    for directory in dict.fromkeys(path.parent for path in paths):
        try:
            with _held(directory, os.O_RDWR | os.O_CREAT):
                for path in paths:
                    if path.parent == directory and not _answers(path):
                        path.unlink(missing_ok=True)
        except OSError as error:
            raise RootlessError(f"cannot clear `{directory}`: {atomic.reason(error)}") from error


@contextmanager
def _held(directory: Path, how: int) -> Iterator[None]:
    # The lock of rootlesskit itself (flock(2) by its pkg/parent): whoever has it is alone here.
    descriptor = os.open(directory / LOCK, how | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RootlessError(
            f"cannot clear `{directory}`: a K3s lives there",
            hint="stop it first; see who it is: ps -fu $(id -u)",
        ) from None
    finally:
        os.close(descriptor)


def _owner(directory: Path) -> int:
    found = directory.lstat()
    return found.st_uid if stat.S_ISDIR(found.st_mode) else -1


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _answers(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        try:
            asking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # full, or not ours to ask: it may live
    return True
