"""The consent of the user to a change that removes something or stops pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k3s_rootless.errors import RootlessError, UsageError

Ask = Callable[[str], bool | None]
"""Ask the user a question; None if no user can answer."""


def require(
    ask: Ask,
    question: str,
    *,
    unanswered: str,
    hint: str,
    refused: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Ask a question.

    Raises UsageError with `unanswered`, `hint` and `details` if no user can answer, RootlessError
    with `refused` if the answer is no.
    """
    answer = ask(question)
    if answer is None:
        raise UsageError(unanswered, hint=hint, details=details)
    if not answer:
        raise RootlessError(refused)
