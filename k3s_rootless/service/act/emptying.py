"""Move the cluster out of a data directory of K3s, so that its next start creates an empty one.

Each path is moved by one rename into a directory of the same file system, which is removed later. A
process that was killed between two renames left each path either in its place or moved. Descriptors
are used instead of paths, and no link is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.atomic import reason
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.linux import open_directory
from k3s_rootless.service.observe import data_directory

DATABASE = "server/db"
VOLUMES = "storage"
CONTENT = (DATABASE, VOLUMES, "kubelet", "cni")
"""The paths of a cluster in a data directory: its datastore, volumes, pods, addresses of pods.

Configuration, certificates, tokens, manifests and images are at other paths.
"""


@dataclass(frozen=True, slots=True)
class Content:
    """The paths of a cluster that exist, and those that must stay, each with its reason."""

    moved: tuple[str, ...]
    kept: tuple[tuple[str, str], ...] = ()


def find(directory: Path, home: Path, uid: int) -> Content:
    """Return the paths of the cluster in a data directory.

    Raises UsageError for a directory that is not a data directory of K3s, or if a path other than
    the volumes is a link or a mount.
    """
    data_directory.identify(directory, home, uid, "reset")
    moved, kept = [], []
    with _opened(directory) as top:
        for name in CONTENT:
            why = _why_kept(top, name)
            if why and name != VOLUMES:
                raise UsageError(f"cannot reset {directory}: {name} in it: {why}")
            if why:
                kept.append((name, why))
            elif _exists(top, name):
                moved.append(name)
    return Content(tuple(moved), tuple(kept))


def move(directory: Path, names: Sequence[str], home: Path, uid: int) -> None:
    """Move the paths away; also continues after a process was killed. K3s must be stopped.

    The directory is checked again: the first check was before the question to the user. Raises
    UsageError as `find` does; RootlessError, and puts everything back in that case.
    """
    data_directory.identify(directory, home, uid, "reset")
    with _opened(directory) as top:
        try:
            with suppress(FileExistsError):
                os.mkdir(data_directory.RESET, 0o700, dir_fd=top)
            with _below(top, data_directory.RESET) as target:
                for name in names:
                    _move(top, name, target)
                os.fsync(target)
            os.fsync(top)
        except OSError as error:
            _move_back(top)
            raise RootlessError(
                f"cannot reset {directory}: {error.filename or ''}: {reason(error)}",
                hint=f"nothing was reset; look at the directory: ls -la {directory}",
            ) from error


def has_moved(directory: Path) -> bool:
    """Return whether a path was moved away and is not removed yet."""
    try:
        return any((directory / data_directory.RESET).iterdir())
    except OSError:
        return False


def discard(directory: Path) -> None:
    """Remove the empty directory that a killed process left before it moved anything."""
    with suppress(OSError):
        (directory / data_directory.RESET).rmdir()


def _move(top: int, name: str, target: int) -> None:
    moved = _moved(name)
    if _exists(target, moved):
        return  # before this process
    with _parent(top, name) as (above, last):
        try:
            os.rename(last, moved, src_dir_fd=above, dst_dir_fd=target)
        except FileNotFoundError:
            return
        os.fsync(above)


def _move_back(top: int) -> None:
    # What cannot be moved back is reported by the error that led here.
    with suppress(OSError), _below(top, data_directory.RESET) as source:
        for name in CONTENT:
            with suppress(OSError), _parent(top, name) as (above, last):
                if not _exists(above, last):
                    os.rename(_moved(name), last, src_dir_fd=source, dst_dir_fd=above)
    with suppress(OSError):
        os.rmdir(data_directory.RESET, dir_fd=top)


def _why_kept(top: int, name: str) -> str:
    try:
        with _parent(top, name) as (above, last):
            found = os.stat(last, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            return "its directory is a link, or no directory"
        return reason(error)
    if not stat.S_ISDIR(found.st_mode):
        return "it is a link, or no directory"
    if found.st_dev != os.fstat(top).st_dev:
        return "another file system is mounted there"
    return ""


def _exists(directory: int, name: str) -> bool:
    try:
        with _parent(directory, name) as (above, last):
            os.stat(last, dir_fd=above, follow_symlinks=False)
    except OSError:
        return False
    return True


def _moved(name: str) -> str:
    return name.replace("/", "-")


@contextmanager
def _parent(top: int, name: str) -> Iterator[tuple[int, str]]:
    """Yield a descriptor of the directory of a path with at most two parts, and its last part."""
    above, _, last = name.rpartition("/")
    if not above:
        yield top, last
        return
    with _below(top, above) as descriptor:
        yield descriptor, last


@contextmanager
def _below(top: int, name: str) -> Iterator[int]:
    descriptor = os.open(name, open_directory.FLAGS, dir_fd=top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    try:
        descriptor = os.open(directory, open_directory.FLAGS)
    except OSError as error:
        raise RootlessError(f"cannot reset {directory}: {reason(error)}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
