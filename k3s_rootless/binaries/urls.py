"""The URLs of servers: which ones a user can set, and how messages name them.

This module does not load urllib3, so that a setting can be checked at once.
"""

from __future__ import annotations

from urllib.parse import SplitResult

from k3s_rootless import web_address
from k3s_rootless.errors import UsageError
from k3s_rootless.printable import printable


def checked_base(url: str, name: str) -> str:
    """Return the URL of a server without a slash at its end.

    `name` is the option, variable or setting that it comes from. Raises UsageError for a URL that
    is not https, or that has a password: other users can read the arguments of a process.
    """
    parts = _parsed(url)
    if parts is not None and (parts.username or parts.password):
        raise UsageError(f"cannot use {name}: its URL must not contain a user name or a password")
    if parts is None or parts.scheme != "https" or parts.query or parts.fragment:
        raise UsageError(
            f"cannot use {name}: it must be a URL that starts with https://",
            hint=(
                "for files on this host, use: k3s-rootless release get --file K3S --checksums FILE"
            ),
        )
    return url.rstrip("/")


def host_of(url: str) -> str:
    """Return the host of a URL, for messages: the rest can contain signatures."""
    try:
        host = web_address.split(url).hostname
    except ValueError:
        host = None
    return printable(host or "the server")


def _parsed(url: str) -> SplitResult | None:
    """Return the parts of a URL; None if it has no host, or is not a URL."""
    try:
        parts = web_address.split(url)
    except ValueError:
        return None
    if not parts.hostname or not url.isprintable():
        return None
    return parts
