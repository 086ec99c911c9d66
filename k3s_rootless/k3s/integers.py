"""Read integers as K3s does."""

from __future__ import annotations

import re

_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<two>[01]+)|"
    r"0[oO]?(?P<octal>[0-7]+)|(?P<ten>0|[1-9]\d*))",
    re.ASCII,
)
_MOST_DIGITS = 66
_BASES = {"hex": 16, "two": 2, "octal": 8, "ten": 10}
_LEAST, _SIGNED_END, _UNSIGNED_END = -(2**63), 2**63, 2**64


def parse(text: str) -> int | None:
    """Parse an integer as Go's strconv does with base 0.

    Return None for text that is not an integer, or has more than 64 bits.
    """
    found = _INTEGER.fullmatch(text.replace("_", ""))
    if found is None:
        return None
    base, digits = next((base, found[name]) for name, base in _BASES.items() if found[name])
    if len(digits) > _MOST_DIGITS:
        return None
    number = int(digits, base)
    if found["sign"] == "-":
        number = -number
    end = _SIGNED_END if found["sign"] else _UNSIGNED_END
    return number if _LEAST <= number < end else None
