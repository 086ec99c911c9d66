"""One HTTP request to a server that the user named, over TLS or not, with a proxy or without.

Only the standard library is used, so that a process in K3s's namespaces starts fast. Redirects are
not followed: the caller decides who gets credentials.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote

from k3s_rootless import web_address
from k3s_rootless.errors import PeerError

if TYPE_CHECKING:
    import ssl

LARGEST = 256 * 1024
"""Bytes of an answer; the rest is not read."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer of a server; names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def header(self, name: str) -> tuple[str, ...]:
        """Return the values of a header, which can occur several times."""
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached; `proxy` is the address of a proxy, empty for none."""

    context: ssl.SSLContext
    timeout: float
    proxy: str = field(default="", repr=False)


def get(url: str, way: Way, headers: Mapping[str, str] | None = None) -> Response:
    """Request an address.

    `way.timeout` is that of each step, in seconds. Raises OSError (with ssl.SSLError among them),
    PeerError for an answer that is no HTTP and for a proxy that refuses, and BadAddress.
    """
    address = web_address.split(url)
    target = address.path or "/"
    if address.query:
        target = f"{target}?{address.query}"
    sent = {"User-Agent": "k3s-rootless", "Accept": "*/*", "Connection": "close", **(headers or {})}
    connection = _connection(address, way)
    if way.proxy and address.scheme == "http":
        target = f"http://{address.netloc}{target}"
        sent |= _proxy_headers(web_address.split(way.proxy))
    with closing(connection):
        try:
            connection.request("GET", target, headers=sent)
            answer = connection.getresponse()
            body = answer.read(LARGEST)
        except http.client.InvalidURL:
            # Its text quotes the address.
            raise PeerError("its address has characters that no address may have") from None
        except http.client.HTTPException as error:
            reason = str(error) or type(error).__name__
            raise PeerError(f"the answer is no HTTP: {reason[:80]!r}") from error
        pairs = tuple((key.lower(), value) for key, value in answer.getheaders())
        return Response(answer.status, pairs, body)


def _connection(address: SplitResult, way: Way) -> http.client.HTTPConnection:
    host, port = address.hostname or "", address.port
    if not way.proxy:
        return _direct(address.scheme, host, port, way)
    proxy = web_address.split(way.proxy)
    if proxy.scheme != "http" or not proxy.hostname:
        raise PeerError(f"a proxy with the scheme {proxy.scheme or 'none'} cannot be tested")
    via = proxy.hostname, proxy.port or http.client.HTTP_PORT
    if address.scheme == "http":
        return http.client.HTTPConnection(*via, timeout=way.timeout)
    tunnel = http.client.HTTPSConnection(*via, timeout=way.timeout, context=way.context)
    tunnel.set_tunnel(host, port or http.client.HTTPS_PORT, _proxy_headers(proxy))
    return tunnel


def _direct(scheme: str, host: str, port: int | None, way: Way) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=way.timeout)
    return http.client.HTTPSConnection(host, port, timeout=way.timeout, context=way.context)


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
