"""Removal of a directory tree by descriptors, never by paths.

Each directory is opened relative to its parent, with O_NOFOLLOW, so a link is removed and not
followed. A directory of another mount is not entered, even if a bind mount shows the same file
system. At most two descriptors are open at any depth.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless.atomic import reason
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import open_directory

_MOST_SURVIVORS = 50


@dataclass(slots=True)
class Result:
    """Result of a removal.

    `removed` is the number of removed entries, and `survivors` holds the entries that remain, each
    with its reason; `more` is the number of further ones. `outside` is the reason why there was no
    user namespace, empty if there was one.
    """

    removed: int = 0
    survivors: list[tuple[str, str]] = field(default_factory=list)
    more: int = 0
    outside: str = ""

    def keep(self, path: str, why: str) -> None:
        """Record an entry that could not be removed."""
        if len(self.survivors) < _MOST_SURVIVORS:
            self.survivors.append((path, why))
        else:
            self.more += 1


@dataclass(frozen=True, slots=True)
class Task:
    """A directory to remove with all its entries, or only with its entries `only`.

    `identity` is the device and inode that the directory must have. A directory with one of the
    identities `spared` is not entered. The file `mark` is created in the directory first and
    removed last, so it exists as long as something remains to be removed.
    """

    directory: Path
    only: Sequence[str] | None = None
    identity: tuple[int, int] | None = None
    spared: frozenset[tuple[int, int]] = frozenset()
    mark: str = ""


def remove(task: Task, result: Result) -> None:
    """Perform a task, and record the remaining entries in `result`.

    Raises RootlessError if the directory cannot be opened, is a link, or does not have the expected
    identity.
    """
    directory = task.directory
    try:
        above = os.open(directory.parent, open_directory.FLAGS & ~os.O_NOFOLLOW)
    except OSError as error:
        raise RootlessError(f"cannot open `{directory.parent}`: {reason(error)}") from error
    try:
        _Walk(result, task).root(above, directory.name)
    finally:
        os.close(above)


@dataclass(slots=True)
class _Level:
    """A directory on the path of the walk.

    It holds the name, the identity, and the subdirectories that the walk has not entered yet.
    """

    name: str
    identity: tuple[int, int]
    todo: list[str]


class _Walk:
    """One walk through a tree, with at most two open descriptors at any depth."""

    def __init__(self, result: Result, task: Task) -> None:
        self.result = result
        self.task = task
        self.top = str(task.directory)
        self.levels: list[_Level] = []
        self.here = -1
        self.mount = ""

    def root(self, above: int, name: str) -> None:
        """Empty the directory `name` of `above` as the task requires.

        Remove the directory itself if it is empty then.
        """
        try:
            self.here = os.open(name, open_directory.FLAGS, dir_fd=above)
        except OSError as error:
            raise RootlessError(f"cannot open `{self.top}`: {_why_not_opened(error)}") from error
        try:
            self._require_identity()
            self.mount = open_directory.mount_id(self.here)
            self._set_mark()
            self._enter(name, self.task.only)
            while self.levels:
                level = self.levels[-1]
                if level.todo:
                    self._descend(level.todo.pop())
                elif len(self.levels) > 1:
                    self._ascend()
                else:
                    self.levels.pop()
            self._clear_mark()
            self._rmdir(name, above)
        finally:
            os.close(self.here)

    def _require_identity(self) -> None:
        if self.task.identity not in {None, open_directory.identity(os.fstat(self.here))}:
            raise RootlessError(f"cannot remove `{self.top}`: it was replaced by another directory")

    def _set_mark(self) -> None:
        if self.task.mark:
            # A full disk may prevent the mark: the rest of a killed purge must then be removed by
            # hand.
            with suppress(OSError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(self.task.mark, flags, 0o600, dir_fd=self.here))

    def _clear_mark(self) -> None:
        if not self.task.mark:
            return
        left = set(os.listdir(self.here)) - {self.task.mark}  # noqa: PTH208 (a descriptor)
        if self.task.only is not None:
            left.intersection_update(self.task.only)
        if not left:
            with suppress(OSError):
                os.unlink(self.task.mark, dir_fd=self.here)

    def _enter(self, name: str, only: Sequence[str] | None = None) -> None:
        level = _Level(name, open_directory.identity(os.fstat(self.here)), [])
        self.levels.append(level)
        try:
            entries = os.listdir(self.here)  # noqa: PTH208 (a descriptor)
        except OSError as error:
            self.result.keep(self._path(), reason(error))
            return
        for entry in sorted(entries):
            if entry == self.task.mark and len(self.levels) == 1:
                continue
            if only is not None and entry not in only:
                self.result.keep(self._path(entry), "it was not created by K3s")
            elif self._is_directory(entry):
                level.todo.append(entry)
            else:
                self._unlink(entry)

    def _descend(self, name: str) -> None:
        try:
            below = os.open(name, open_directory.FLAGS, dir_fd=self.here)
        except OSError as error:
            self.result.keep(self._path(name), _why_not_opened(error))
            return
        why = self._not_entered(below)
        if why:
            os.close(below)
            self.result.keep(self._path(name), why)
            return
        os.close(self.here)
        self.here = below
        self._enter(name)

    def _not_entered(self, descriptor: int) -> str:
        if open_directory.mount_id(descriptor) != self.mount:
            return "another file system is mounted there"
        if open_directory.identity(os.fstat(descriptor)) in self.task.spared:
            return "it is your home directory, or contains it"
        return ""

    def _ascend(self) -> None:
        left = self.levels.pop()
        self.here = open_directory.parent(self.here)
        if open_directory.identity(os.fstat(self.here)) != self.levels[-1].identity:
            raise RootlessError(
                f"cannot continue in `{self.top}`: `{left.name}` was moved to another directory"
            )
        self._rmdir(left.name, self.here)

    def _is_directory(self, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=self.here, follow_symlinks=False).st_mode)
        except OSError:
            return False

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.here)
            self.result.removed += 1
        except FileNotFoundError:
            pass
        except OSError as error:
            self.result.keep(self._path(name), _why_not_removed(error))

    def _rmdir(self, name: str, above: int) -> None:
        try:
            os.rmdir(name, dir_fd=above)
            self.result.removed += 1
        except OSError as error:
            # The remaining entries in it are already recorded.
            if error.errno == errno.ENOTEMPTY:
                return
            path = self._path(name) if self.levels else self.top
            self.result.keep(path, _why_not_removed(error))

    def _path(self, name: str = "") -> str:
        parts = [self.top, *(level.name for level in self.levels[1:])]
        if name:
            parts.append(name)
        return "/".join(parts)


def _why_not_opened(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "it is a link, or not a directory"
    return reason(error)


def _why_not_removed(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "it is a mount point"
    return reason(error)
