"""Host names and addresses, as they can be in a certificate."""

from __future__ import annotations

import re

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)
_NUMBERS = re.compile(r"[0-9.]+", re.ASCII)


def is_host(text: str) -> bool:
    """Return whether a text is a host name (RFC 1123), or an IPv4 or IPv6 address."""
    if _NAME.fullmatch(text) and not _NUMBERS.fullmatch(text):
        return True
    return is_address(text)


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    # Imported here: this module takes 4 ms to load, and most commands check no address.
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
