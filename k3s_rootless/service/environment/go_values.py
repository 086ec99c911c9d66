"""How Go reads a word, where K3s leaves that to Go's library: numbers, booleans, networks and
paths.

Python's own parsers take more (`1_500`, a netmask behind the slash, digits of other scripts), and
K3s would not. Held against what Go 1.27 itself says, in tests/data/go-words.json.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?[0-9]+")
_LENGTH = re.compile(r"0*(?P<bits>[0-9]{1,3})")
_LARGEST = 2**63


def integer(text: str) -> int | None:
    """Return what `strconv.ParseInt(text, 10, 0)` reads if int has 64 bits; None for an error."""
    digits = text.lstrip("+-").lstrip("0")
    # 2 ** 63 has 19 digits; Python refuses to read thousands of them.
    if not _INTEGER.fullmatch(text) or len(digits) > 19:
        return None
    number = int(digits or "0")
    if text[0] == "-":
        number = -number
    if not -_LARGEST <= number < _LARGEST:
        return None
    return number


def boolean(text: str) -> bool | None:
    """Return what `strconv.ParseBool` reads; None for an error."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return None


def network(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    """Return the address and the length of prefix that `net.ParseCIDR` reads, IPv4 in IPv6 as
    IPv4; None for an error.
    """
    address, slash, length = text.partition("/")
    plain = _LENGTH.fullmatch(length)
    if not slash or not plain or "%" in address:
        return None
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    bits = int(plain["bits"])
    if found.version == 6 and found.ipv4_mapped and 96 <= bits <= 128:
        return found.ipv4_mapped, bits - 96
    if bits > found.max_prefixlen:
        return None
    return found, bits


def clean(path: str) -> str:
    """Return `filepath.Clean(path)`, in which `//` at the beginning has no meaning of its own."""
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    if cleaned.startswith("//"):
        return f"/{cleaned.lstrip('/')}"
    return cleaned
