"""A file to which the logged packets are appended, in place of the log of ulogd2."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from k3s_rootless.errors import RootlessError

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a named pipe without a reader must not block the open."""


def append(path: Path, lines: Iterable[str | None]) -> None:
    """Append each line at once, until there are no more; None is not a line.

    If another program renames or removes the file, as logrotate does, a new one is created. Raises
    RootlessError.
    """
    with closing(_File(path)) as file:
        for line in lines:
            if line is not None:
                file.write(line)


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._opened()

    def write(self, line: str) -> None:
        if self._is_moved():
            os.close(self._descriptor)
            self._descriptor = -1
            self._descriptor = self._opened()
        data = f"{line}\n".encode("utf-8", "replace")
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise self._unusable(error) from error
        if written < len(data):
            raise self._unusable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _opened(self) -> int:
        try:
            descriptor = os.open(self._path, _FLAGS, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
            return descriptor
        os.close(descriptor)
        why = "it is not a regular file"
        if found.st_uid != os.getuid():
            why = f"it belongs to uid {found.st_uid}"
        raise RootlessError(f"cannot write `{self._path}`: {why}", hint="name another file")

    def _is_moved(self) -> bool:
        try:
            there = self._path.lstat()
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def _unusable(self, error: OSError) -> RootlessError:
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.ELOOP:
            reason = "it is a symbolic link"
        return RootlessError(f"cannot write `{self._path}`: {reason}", hint="name another file")
