"""Parsing rules of Go that K3s uses.

strconv.ParseInt, strconv.ParseBool, net.ParseCIDR, filepath.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class GoError(ValueError):
    """Error with the text of Go's `err.Error()`."""


def parse_int(text: str) -> int:
    """Return strconv.ParseInt(text, 10, 0) on a 64-bit machine."""
    # `\d` would match digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise GoError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise GoError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def parse_bool(text: str) -> bool:
    """Return strconv.ParseBool(text): twelve spellings, nothing else."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise GoError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def parse_cidr(
    text: str,
) -> tuple[
    ipaddress.IPv4Address | ipaddress.IPv6Address, ipaddress.IPv4Network | ipaddress.IPv6Network
]:
    """Return net.ParseCIDR(text): the address as written, and its network."""
    address, slash, length = text.partition("/")
    # ParseCIDR accepts only plain decimal lengths; Python would accept a netmask, and a zone in the
    # address.
    plain = re.fullmatch(r"[0-9]{1,3}", length) and "%" not in address
    if not slash or not plain:
        raise GoError(f"invalid CIDR address: {text}")
    try:
        interface = ipaddress.ip_interface(f"{address}/{int(length)}")
    except ValueError:
        raise GoError(f"invalid CIDR address: {text}") from None
    return interface.ip, interface.network


def clean(path: str) -> str:
    """Return filepath.Clean(path); unlike posixpath, a leading `//` has no special meaning."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def quote(text: str) -> str:
    """Return `%q` of a text as in Go, as far as log lines need it."""
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
    return f'"{escaped}"'
