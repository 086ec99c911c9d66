"""The text of a number of bytes, the same in all output."""

from __future__ import annotations

_KIB = 2**10
_MIB = 2**20
_GIB = 2**30


def text(size: float) -> str:
    """Return a number of bytes as people read it, such as `21 KiB`, `1.9 MiB` or `2.0 GiB`."""
    if size < _KIB:
        return f"{size:.0f} B"
    if size < _MIB:
        return f"{int(size // _KIB)} KiB"
    # In tenths, rounded down: 1023.99 MiB is not `1024.0 MiB`.
    if size < _GIB:
        return f"{int(size * 10 // _MIB) / 10:.1f} MiB"
    return f"{int(size * 10 // _GIB) / 10:.1f} GiB"
