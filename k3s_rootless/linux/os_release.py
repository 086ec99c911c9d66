"""The identity of the host's distribution (os-release(5))."""

from __future__ import annotations

from pathlib import Path


def read(root: Path) -> dict[str, str]:
    """Return the assignments of /etc/os-release, or of /usr/lib/os-release if that cannot be read.

    Raises OSError for /etc/os-release if neither can be read.
    """
    assigned = {}
    for line in _text(root).splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            assigned[name] = value.strip().strip("\"'")
    return assigned


def _text(root: Path) -> str:
    try:
        return (root / "etc/os-release").read_text("utf-8", "replace")
    except OSError:
        fallback = root / "usr/lib/os-release"
        if not fallback.is_file():
            raise
        return fallback.read_text("utf-8", "replace")
