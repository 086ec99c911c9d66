"""The HTTPS client for channels and downloads.

TLS is always verified, and a redirect must stay on https. Proxies and certificate authorities come
from the environment. urllib3 is used here and not in `rest.py`: downloads need proxies (CONNECT),
and no hot path loads this module.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote

import urllib3
from urllib3 import exceptions

from k3s_rootless import background, web_address
from k3s_rootless.binaries.facts import Limits
from k3s_rootless.binaries.urls import host_of
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.printable import printable

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AUTHORITIES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE")
_CHUNK = 64 * 1024
_HTML_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")


class Transient(PeerError):
    """A failure that a further try can overcome: a cut, a timeout, an overloaded server."""


@dataclass(frozen=True, slots=True)
class Document:
    """A small answer: its status, the target of its redirect, and its text."""

    status: int
    location: str
    text: str

    @property
    def is_page(self) -> bool:
        """True for an HTML page, as proxies and login portals send it."""
        return is_page(self.text.encode("utf-8", "replace"))


def is_page(start: bytes) -> bool:
    """Return whether data begins like a web page."""
    return start.lstrip()[:16].lower().startswith(_HTML_STARTS)


class Client:
    """A client with the proxies and certificate authorities of an environment.

    Raises RootlessError if the file of a certificate authority cannot be used.
    """

    def __init__(self, environ: Mapping[str, str], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._environ = environ
        self._context = _context(environ)
        self._pools: dict[str, urllib3.PoolManager] = {}

    def document(self, url: str, largest: int, *, follow: bool = True) -> Document:
        """Request a small document, as a whole within the time limit. Raises PeerError."""
        query = background.begin(lambda: self._document(url, largest, follow=follow))
        try:
            return query.result(self.limits.document)
        except TimeoutError:
            raise Transient(
                f"{host_of(url)} gave no complete answer within {self.limits.document:.3g} s"
            ) from None

    def _document(self, url: str, largest: int, *, follow: bool) -> Document:
        with self.opened(url, follow=follow) as response, failures(url):
            parts: list[bytes] = []
            size = 0
            for part in response.stream(_CHUNK, decode_content=False):
                parts.append(part)
                size += len(part)
                if size > largest:
                    raise PeerError(f"the answer of {host_of(url)} is longer than {largest} bytes")
            text = b"".join(parts).decode("utf-8", "replace")
            return Document(response.status, response.headers.get("Location", ""), text)

    @contextmanager
    def opened(
        self, url: str, headers: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the response of a GET request, with redirects followed. Raises PeerError."""
        response = self._requested(url, headers or {})
        try:
            for _ in range(_MOST_REDIRECTS):
                if not follow or response.status not in _REDIRECTS:
                    break
                url = _redirected(url, response.headers.get("Location", ""))
                _finish(response)
                response = self._requested(url, headers or {})
            if follow and response.status in _REDIRECTS:
                raise PeerError(f"{host_of(url)} redirects too often")
            yield response
        finally:
            response.close()

    def _requested(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        sent = {"Accept-Encoding": "identity", "User-Agent": "k3s-rootless", **headers}
        with failures(url):
            return self._pool(url).request(
                "GET", url, headers=sent, redirect=False, retries=False, preload_content=False
            )

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = _proxy(self._environ, url)
        if proxy not in self._pools:
            self._pools[proxy] = self._made(proxy)
        return self._pools[proxy]

    def _made(self, proxy: str) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "ssl_context": self._context,
            "timeout": urllib3.Timeout(connect=self.limits.connect, read=self.limits.read),
        }
        if not proxy:
            return urllib3.PoolManager(**options)
        parts = _parts_of_proxy(proxy)
        if parts.username:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=account)
        if parts.scheme == "https":
            options["proxy_ssl_context"] = self._context
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(bare, **options)


def _finish(response: urllib3.BaseHTTPResponse) -> None:
    """End a redirect; its connection can be used again if its body is short."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= _CHUNK:
        response.drain_conn()
    response.close()


@contextmanager
def failures(url: str) -> Iterator[None]:
    """Convert the errors of urllib3 into PeerError; those that may not last into Transient."""
    host = host_of(url)
    try:
        yield
    except exceptions.SSLError as error:
        raise PeerError(
            f"cannot verify {host}: {_tls_reason(error)}",
            hint="if a proxy signs its connections, name its CA: export SSL_CERT_FILE=FILE",
        ) from error
    except exceptions.ProxyError as error:
        if isinstance(error.original_error, ssl.SSLError):
            raise PeerError(f"cannot verify the proxy: {_tls_reason(error)}") from error
        raise Transient(f"cannot reach {host} through the proxy: {_reason(error)}") from error
    except exceptions.NewConnectionError as error:
        raise Transient(f"cannot connect to {host}: {_reason(error)}") from error
    except exceptions.TimeoutError as error:
        raise Transient(f"{host} did not answer in time") from error
    except exceptions.LocationParseError as error:
        raise PeerError(f"cannot use the URL of {host}: it is not valid") from error
    except exceptions.HTTPError as error:
        raise Transient(f"cannot read from {host}: {_reason(error)}") from error


def _redirected(url: str, location: str) -> str:
    """Return the target of a redirect, which must stay on https. Raises PeerError."""
    try:
        target = web_address.joined(url, location)
    except ValueError as error:
        raise PeerError(f"the redirect of {host_of(url)} cannot be followed: {error}") from None
    if web_address.split(target).scheme != "https":
        raise PeerError(f"the redirect of {host_of(url)} leaves https: {printable(target, 120)}")
    return target


def _parts_of_proxy(proxy: str) -> SplitResult:
    reason = "its address must start with http:// or https://"
    try:
        parts = web_address.split(proxy)
    except ValueError as error:
        reason = str(error)
    else:
        if parts.scheme in {"http", "https"} and parts.hostname:
            return parts
    raise RootlessError(
        f"cannot use the proxy of the environment: {reason}",
        hint="look at HTTPS_PROXY and ALL_PROXY",
    )


def _context(environ: Mapping[str, str]) -> ssl.SSLContext:
    name = next((name for name in _AUTHORITIES if environ.get(name)), None)
    directory = environ.get("SSL_CERT_DIR") or None
    if name is None and directory is None:
        return ssl.create_default_context()
    file = environ[name] if name else None
    try:
        return ssl.create_default_context(cafile=file, capath=directory)
    except OSError as error:
        reason = error.strerror or "it has no certificates"
        raise RootlessError(
            f"cannot use the certificate authorities in {file or directory} ({name}):"
            f" {reason.lower()}"
        ) from error


def _proxy(environ: Mapping[str, str], url: str) -> str:
    """Return the proxy for a URL, empty if there is none. Lower case comes first, as in curl."""
    host = web_address.split(url).hostname or ""
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if any(_matches(host, entry.strip().lower()) for entry in no_proxy.split(",")):
        return ""
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    found = next((environ[name] for name in names if environ.get(name)), "")
    return f"http://{found}" if found and "://" not in found else found


def _matches(host: str, entry: str) -> bool:
    """Return whether an entry of NO_PROXY covers a host: a domain, an address or a network."""
    if entry == "*":
        return True
    domain = entry.removeprefix("*").removeprefix(".")
    if domain and (host == domain or host.endswith(f".{domain}")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _tls_reason(error: Exception) -> str:
    text = printable(str(error))
    if "certificate verify failed" not in text:
        return text
    why = text.rpartition("failed: ")[2].partition(" (_ssl")[0]
    return f"its certificate is not trusted ({why})"


def _reason(error: Exception) -> str:
    """Return the reason of an error, without the addresses of objects that urllib3 prints."""
    match error:
        case exceptions.NameResolutionError():
            return "the name cannot be resolved"
        case exceptions.NewConnectionError() | exceptions.ProxyError():
            cause = error.__cause__ or getattr(error, "original_error", None)
            return printable(str(getattr(cause, "strerror", None) or cause or error)).lower()
        case exceptions.IncompleteRead():
            return "the connection was closed before the end"
        case exceptions.ProtocolError():
            return "the connection was lost"
        case _:
            return f"{type(error).__name__}"
