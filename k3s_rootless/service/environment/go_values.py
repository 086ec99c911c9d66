"""Parsers for numbers, booleans, networks and paths that follow the standard library of Go.

K3s uses the Go library for these values. The parsers of Python accept more (`1_500`, a netmask
after the slash, digits of other scripts), which K3s rejects. The tests compare these parsers with
the results of Go 1.27 in tests/data/go-words.json.
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
    """Return the number that `strconv.ParseInt(text, 10, 0)` reads; None for an error.

    Go's int is assumed to have 64 bits.
    """
    digits = text.lstrip("+-").lstrip("0")
    # 2 ** 63 has 19 digits, and Python refuses to convert a text with thousands of digits.
    if not _INTEGER.fullmatch(text) or len(digits) > 19:
        return None
    number = int(digits or "0")
    if text[0] == "-":
        number = -number
    if not -_LARGEST <= number < _LARGEST:
        return None
    return number


def boolean(text: str) -> bool | None:
    """Return the value that `strconv.ParseBool` reads; None for an error."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return None


def network(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    """Return the address and the prefix length that `net.ParseCIDR` reads; None for an error.

    An IPv4 address that is mapped into IPv6 is returned as IPv4.
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
    """Return `filepath.Clean(path)`.

    Unlike Python, Go gives `//` at the beginning of a path no special meaning.
    """
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    if cleaned.startswith("//"):
        return f"/{cleaned.lstrip('/')}"
    return cleaned
