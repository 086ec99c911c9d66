"""Addresses (URLs) that people, files and servers give, and errors that quote none of them.

The ValueError of urllib.parse quotes the part that it cannot read, with its password.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit


class BadAddress(ValueError):
    """An address that cannot be read; its text is the reason, and no part of the address."""


def split(address: str) -> SplitResult:
    """Return the parts of an address, with a host and a port that can be read.

    Raises BadAddress.
    """
    try:
        parts = urlsplit(address)
        _ = parts.hostname
    except ValueError:
        raise BadAddress("it is not a valid address") from None
    try:
        _ = parts.port
    except ValueError:
        raise BadAddress("its port is not a number from 1 to 65535") from None
    return parts


def joined(base: str, location: str) -> str:
    """Return the address of a redirect to `location`, which can be relative to `base`.

    Raises BadAddress.
    """
    try:
        target = urljoin(base, location)
    except ValueError:
        raise BadAddress("it is not a valid address") from None
    split(target)
    return target
