"""Everything that can go wrong in words a user can act on.

The tree, with the exit code that the shell gives each (docs/reference/exit-codes.md)::

    RootlessError                    1   the answer is no, or the work failed
    ├── UsageError                   2   asked for in a way that cannot be served
    ├── NotRunning                   3   K3s is not running, or not installed, for this user
    ├── NotReady                     4   running, but not ready in time
    ├── PreflightFailed              5   the host lacks something that the user can fix
    ├── AdministratorNeeded          6   the host lacks something that an administrator can fix
    ├── WouldOverwrite               7   refused, since it would overwrite local changes
    ├── UnsupportedHost              8   this host cannot run it
    ├── BusError                     1   no user manager to talk to, or it stopped talking
    │   └── SystemdError             1   systemd answered with an error
    ├── CommandFailed                1   a program did not do what it was asked for
    └── PeerError                    1   an HTTP peer (rootlesskit, API server) could not be asked

Messages are lower case, without a full stop, and read ``cannot <do what>: <why>``. A hint is an
imperative with a command that can be pasted; only the shell renders it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def error_document(
    message: str,
    hint: str | None = None,
    exit_code: int = 1,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return an entry of `errors` in a JSON answer; `details` follow the words."""
    return {"message": message, "hint": hint, "exit_code": exit_code, **(details or {})}


class RootlessError(Exception):
    """A failure that is reported to the user: `message`, and apart from it a `hint`.

    `details` are for programs: only the JSON has them, after the words.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or {}

    def document(self) -> dict[str, Any]:
        """Return this error as an entry of `errors` in a JSON answer."""
        return error_document(self.message, self.hint, self.exit_code, self.details)


class UsageError(RootlessError):
    """What was asked for cannot be served in this way."""

    exit_code = 2


class NotRunning(RootlessError):
    """K3s is not running, or not installed, for this user."""

    exit_code = 3


class NotReady(RootlessError):
    """K3s runs, and was not ready when the time was up."""

    exit_code = 4


class PreflightFailed(RootlessError):
    """A check failed, and the user can fix it."""

    exit_code = 5


class AdministratorNeeded(PreflightFailed):
    """A check failed, and an administrator must fix it."""

    exit_code = 6


class WouldOverwrite(RootlessError):
    """The operation would overwrite a file that was edited."""

    exit_code = 7


class UnsupportedHost(PreflightFailed):
    """No remedy makes this host run rootless K3s."""

    exit_code = 8


class BusError(RootlessError):
    """The bus of the user manager is missing, refuses, or stopped answering."""


class SystemdError(BusError):
    """systemd answered with an error; `name` is its D-Bus error name."""

    def __init__(self, message: str, *, name: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name


class CommandFailed(RootlessError):
    """A program is missing, took too long, or ended with an error; the command is in the message,
    ready to paste.
    """


class PeerError(RootlessError):
    """An HTTP peer is not there, is too slow, or answers with something else than was asked for.

    `status` is its HTTP status, or None when there was no answer to read one from.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
