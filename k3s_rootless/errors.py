"""The errors that are reported to users.

The tree, with the exit code of each error (docs/reference/exit-codes.md)::

    RootlessError                    1   the answer is no, or the work failed
    ├── UsageError                   2   the request is invalid
    ├── NotRunning                   3   K3s is not running, or not installed, for this user
    ├── NotReady                     4   K3s runs, but was not ready before the timeout
    ├── PreflightFailed              5   a check failed, and the user can fix the problem
    ├── AdministratorNeeded          6   a check failed, and an administrator must fix the problem
    ├── WouldOverwrite               7   the operation would overwrite local changes
    ├── UnsupportedHost              8   this host cannot run rootless K3s
    ├── BusError                     1   no user manager, or it stopped responding
    │   └── SystemdError             1   systemd returned an error
    ├── CommandFailed                1   a program is missing, too slow, or failed
    └── PeerError                    1   an HTTP peer (rootlesskit, API server) gave no valid answer

Messages are lower case, without a full stop, and have the form ``cannot <do what>: <why>``. A hint
is an imperative sentence with a command that can be pasted; only the shell renders it.
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
    """Return an entry of `errors` in a JSON answer; `details` follow the other fields."""
    return {"message": message, "hint": hint, "exit_code": exit_code, **(details or {})}


class RootlessError(Exception):
    """A failure that is reported to the user, with a `message` and an optional `hint`.

    `details` are for programs: they are only in the JSON answer, after the other fields.
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
    """The request is invalid."""

    exit_code = 2


class NotRunning(RootlessError):
    """K3s is not running, or not installed, for this user."""

    exit_code = 3


class NotReady(RootlessError):
    """K3s runs, but was not ready before the timeout."""

    exit_code = 4


class PreflightFailed(RootlessError):
    """A check failed, and the user can fix the problem."""

    exit_code = 5


class AdministratorNeeded(PreflightFailed):
    """A check failed, and an administrator must fix the problem."""

    exit_code = 6


class WouldOverwrite(RootlessError):
    """The operation would overwrite a file that was edited."""

    exit_code = 7


class UnsupportedHost(PreflightFailed):
    """This host cannot run rootless K3s, and no remedy exists."""

    exit_code = 8


class BusError(RootlessError):
    """The bus of the user manager is missing, refuses the connection, or stopped responding."""


class SystemdError(BusError):
    """systemd returned an error; `name` is its D-Bus error name."""

    def __init__(self, message: str, *, name: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name


class CommandFailed(RootlessError):
    """A program is missing, exceeded its timeout, or failed; the message contains the command."""


class PeerError(RootlessError):
    """An HTTP peer is missing, too slow, or sent an unexpected answer.

    `status` is the HTTP status of the answer, or None if there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
