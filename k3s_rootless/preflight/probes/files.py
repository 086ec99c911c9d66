"""Reads small files of the host that may be missing or unreadable."""

from __future__ import annotations

from pathlib import Path

_LARGEST = 16 * 1024 * 1024


def text(path: Path) -> str:
    """Return the content of a file, of a very large one the beginning; empty if it cannot be
    read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""
