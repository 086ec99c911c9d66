"""Addresses of proxies, as Go's net/http reads them for K3s and containerd
(golang.org/x/net/http/httpproxy, 2021 to 2026).

An address that Go cannot read is dropped without a word, and requests go out directly.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from k3s_rootless.service.environment import go_url, go_values

SCHEMES = ("http", "https", "socks5", "socks5h")


def parse(text: str) -> go_url.Url | None:
    """Read an address, with or without a scheme; None if Go cannot."""
    found = go_url.parse(text)
    if found is None or not found.scheme or not (found.host or found.port):
        # Go tries once more with `http://` before it; so `http://a b` is read as the host `http`.
        return go_url.parse(f"http://{text}") or found
    return found


def loopback(host: str) -> bool:
    """Return whether a host is the machine, or the namespace, that connects to it."""
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
