"""Reader of the kubeconfigs of a user, before they are changed."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless import trust
from k3s_rootless.errors import PreflightFailed, RootlessError

LARGEST = 4 * 1024 * 1024
"""Bytes; a kubeconfig with a thousand clusters has about 6 KiB for each."""
_ELSEWHERE = "name another file, for example: --into ~/.kube/config"


@dataclass(frozen=True, slots=True)
class UserFile:
    """A kubeconfig as it was found; `resolved` is the file itself if `path` is a link.

    `mode` is None if the file does not exist.
    """

    path: Path
    resolved: Path
    content: bytes = field(repr=False)
    mode: int | None


def read(path: Path, uid: int, hint: str = _ELSEWHERE) -> UserFile:
    """Read a file that is going to be changed; a missing file has no content.

    `hint` is that of all errors. Raises RootlessError; PreflightFailed if another user owns or
    could change the file.
    """
    resolved = Path(os.path.realpath(path))
    try:
        content, mode = _content(path, resolved, uid, hint)
    except FileNotFoundError:
        _require_trust(path, _existing(resolved.parent), hint)
        return UserFile(path, resolved, b"", None)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.ELOOP:
            reason = "its link leads to itself"
        raise RootlessError(f"cannot read `{path}`: {reason}", hint=hint) from error
    _require_trust(path, path, hint)
    return UserFile(path, resolved, content, mode)


def _content(path: Path, resolved: Path, uid: int, hint: str) -> tuple[bytes, int]:
    # Without O_NONBLOCK, opening a named pipe would block for ever.
    descriptor = os.open(resolved, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RootlessError(f"cannot change `{path}`: it is not a regular file", hint=hint)
        if status.st_uid != uid:
            raise PreflightFailed(
                f"cannot change `{path}`: it belongs to uid {status.st_uid}, not to uid {uid}",
                hint=hint,
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        raise RootlessError(f"cannot change `{path}`: it is larger than {LARGEST} bytes", hint=hint)
    return content, stat.S_IMODE(status.st_mode)


def _require_trust(path: Path, existing: Path, hint: str) -> None:
    """Raise PreflightFailed if another user could change a kubeconfig or replace it."""
    risk = trust.risk(existing)
    if risk:
        raise PreflightFailed(f"cannot change `{path}`: {risk}", hint=hint)


def _existing(directory: Path) -> Path:
    """Return the directory, or the nearest one above it that exists."""
    return next((one for one in (directory, *directory.parents) if one.exists()), Path("/"))
