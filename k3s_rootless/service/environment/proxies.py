"""Parser for proxy addresses that follows Go's net/http, as K3s and containerd use it.

Source: golang.org/x/net/http/httpproxy, 2021 to 2026. Go ignores an address that it cannot read,
prints no message, and sends the requests directly.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from k3s_rootless.service.environment import go_url, go_values

SCHEMES = ("http", "https", "socks5", "socks5h")


def parse(text: str) -> go_url.Url | None:
    """Read an address, with or without a scheme; return None if Go cannot read it."""
    found = go_url.parse(text)
    if found is None or not found.scheme or not (found.host or found.port):
        # Go tries a second time with `http://` in front of the text. The address `http://a b` is
        # therefore read as the host `http`.
        return go_url.parse(f"http://{text}") or found
    return found


def loopback(host: str) -> bool:
    """Return whether a host name or address is local to the caller.

    Local means the machine, or the network namespace, from which the connection is made.
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def unmatched(text: str) -> Iterator[str]:
    """Yield the entries of a NO_PROXY that match nothing."""
    for entry in text.split(","):
        word = entry.strip()
        shape = word.removeprefix("*.")
        if word != "*" and (
            "*" in shape or "://" in word or ("/" in word and go_values.network(word) is None)
        ):
            yield word
