"""A reader for files of credentials as untrusted input: bounded, regular, owned by the user."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from pathlib import Path


def read(
    path: Path, uid: int, *, what: str, largest: int, missing: str, damaged: str
) -> tuple[bytes, os.stat_result]:
    """Return the content and the status of a file of `uid`, of at most `largest` bytes.

    Symbolic links are followed; the owner of the opened file counts. `what` names the file in
    errors. `missing` and `damaged` are the hints for a file that is absent and for one that is too
    large. Raises RootlessError.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise RootlessError(f"cannot read {what} {path}: it is not there", hint=missing) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RootlessError(f"cannot read {what} {path}: {reason}") from error
    try:
        status = os.fstat(descriptor)
        _require_own_file(path, status, uid, what)
        # If one more byte can be read than allowed, the file grew after fstat(2).
        content = os.read(descriptor, largest + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest:
        message = f"cannot read {what} {path}: it is larger than {largest} bytes"
        raise RootlessError(message, hint=damaged)
    return content, status


def _require_own_file(path: Path, status: os.stat_result, uid: int, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RootlessError(f"cannot read {what} {path}: it is not a regular file")
    if status.st_uid != uid:
        owner = f"it belongs to uid {status.st_uid}, not to uid {uid}"
        raise RootlessError(f"cannot trust {what} {path}: {owner}")
