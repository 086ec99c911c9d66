"""Files of the user that a command changes: untrusted input, replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless import atomic, trust
from k3s_rootless.errors import PreflightFailed, RootlessError

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file as it was found; `resolved` is the file itself if `path` is a link.

    `mode` is None if the file does not exist.
    """

    path: Path
    resolved: Path
    content: bytes = field(repr=False)
    mode: int | None

    @property
    def shared(self) -> bool:
        """Whether its mode gives other users any access to the file."""
        return bool(self.mode and self.mode & 0o077)

    @property
    def private_mode(self) -> int:
        """The mode without any access for other users; 0600 for a new file."""
        return _PRIVATE if self.mode is None else self.mode & _PRIVATE


def read(
    path: Path, uid: int, *, largest: int, hint: str | None = None, action: str = "change"
) -> UserFile:
    """Read a file that is going to be changed; a missing file has no content.

    `largest` is in bytes; `hint` and `action` are those of all errors. Raises RootlessError;
    PreflightFailed if another user owns or could change the file.
    """
    resolved = Path(os.path.realpath(path))
    try:
        content, mode = _content(path, resolved, uid, _Words(action, largest, hint))
    except FileNotFoundError:
        _require_trust(path, _existing(resolved.parent), action, hint)
        return UserFile(path, resolved, b"", None)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.ELOOP:
            reason = "its link leads to itself"
        raise RootlessError(f"cannot read `{path}`: {reason}", hint=hint) from error
    _require_trust(path, path, action, hint)
    return UserFile(path, resolved, content, mode)


def write(file: UserFile, content: bytes, *, mode: int | None = None) -> None:
    """Write the content to a file that was read before; a link stays a link.

    The mode of the file is kept without `mode`; that of a new file is 0600. The caller holds the
    lock of the file. Raises RootlessError, and changes nothing then.
    """
    directory = file.resolved.parent
    if mode is None:
        mode = file.private_mode if file.mode is None else file.mode
    try:
        atomic.make_directory(directory)
        atomic.sweep(directory, re.escape(file.resolved.name[:200]))
        atomic.write(file.resolved, content, mode)
    except OSError as error:
        raise RootlessError(f"cannot write `{file.path}`: {atomic.reason(error)}") from error


def made_private(file: UserFile, secret: str, *, dry_run: bool) -> str:
    """Return the message for a file of `shared` mode that is written with its private mode."""
    now = "would be" if dry_run else "is now"
    return (
        f"{file.path} {now} readable by you only (mode {file.private_mode:04o}, not"
        f" {file.mode or 0:04o}): it has {secret}"
    )


@dataclass(frozen=True, slots=True)
class _Words:
    action: str
    largest: int
    hint: str | None


def _content(path: Path, resolved: Path, uid: int, words: _Words) -> tuple[bytes, int]:
    cannot, largest, hint = f"cannot {words.action} `{path}`", words.largest, words.hint
    # Without O_NONBLOCK, opening a named pipe would block for ever.
    descriptor = os.open(resolved, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RootlessError(f"{cannot}: it is not a regular file", hint=hint)
        if status.st_uid != uid:
            raise PreflightFailed(
                f"{cannot}: it belongs to uid {status.st_uid}, not to uid {uid}",
                hint=hint,
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(largest + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise RootlessError(f"{cannot}: it is larger than {largest} bytes", hint=hint)
    return content, stat.S_IMODE(status.st_mode)


def _require_trust(path: Path, existing: Path, action: str, hint: str | None) -> None:
    """Raise PreflightFailed if another user could change a file or replace it."""
    risk = trust.risk(existing)
    if risk:
        raise PreflightFailed(f"cannot {action} `{path}`: {risk}", hint=hint)


def _existing(directory: Path) -> Path:
    """Return the directory, or the nearest one above it that exists."""
    return next((one for one in (directory, *directory.parents) if one.exists()), Path("/"))
