"""A terminal of 80 columns without colours."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from k3s_rootless.cli.display.report import Report


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(show: Callable[[Report], object]) -> list[str]:
    """Return the lines that `show` prints on stdout."""
    stream = _Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setenv("TERM", "dumb")
        patch.setattr(sys, "stdout", stream)
        show(Report())
    return stream.getvalue().splitlines()
