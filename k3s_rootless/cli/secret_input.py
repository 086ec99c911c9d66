"""Read a secret from standard input: other users of the host can read a command line (proc(5))."""

from __future__ import annotations

import os
import sys

from k3s_rootless.errors import UsageError
from k3s_rootless.service.environment.variables import LONGEST


def read(prompt: str, action: str, usage: str) -> str:
    """Return the one line of standard input; on a terminal, it is typed without an echo.

    `action` is what cannot be done without it, and `usage` the hint. Raises UsageError for an empty
    input, and for several lines.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"{prompt}: ")
    text = _text(action, usage)
    if not text:
        raise UsageError(f"cannot {action}: standard input is empty", hint=usage)
    line, _, rest = text.partition("\n")
    if rest:
        raise UsageError(f"cannot {action}: standard input has more than one line", hint=usage)
    return line.removesuffix("\r")


def _text(action: str, usage: str) -> str:
    raw = b""
    try:
        # Read bytes, because an environment contains bytes in any locale. Standard input may be
        # closed.
        while len(raw) <= LONGEST:
            more = os.read(0, LONGEST + 2 - len(raw))
            if not more:
                break
            raw += more
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot {action}: cannot read standard input: {reason}", hint=usage
        ) from error
    return os.fsdecode(raw)
