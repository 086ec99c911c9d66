"""Reader of small files of the host that can be missing or unreadable."""

from __future__ import annotations

from pathlib import Path

_LARGEST = 16 * 1024 * 1024


def text(path: Path) -> str:
    """Return the content of a file; empty if it cannot be read.

    Of a very large file, only the beginning is returned.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError:
        return ""
