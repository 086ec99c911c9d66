"""The URL of a forward.

The scheme comes from the Service (appProtocol). Without one, the scheme is a guess by the name and
number of the port.
"""

from __future__ import annotations

from k3s_rootless.ports.facts import Kind
from k3s_rootless.ports.rules.expected import ExpectedForward
from k3s_rootless.ports.rules.socket_index import LOOPBACK, WILD

_HTTPS_PORTS = frozenset({443, 6443, 8443, 9443})
_HTTP_PORTS = frozenset({80, 81, 3000, 5000, 5601, 8000, 8008, 8080, 8081, 8888, 9000, 9090, 9091})
_HTTPS_NAMES = ("https", "tls", "ssl", "websecure")
_HTTP_NAMES = ("http", "web", "ui", "dashboard", "metrics")
_APP_PROTOCOLS = {
    "http": "http",
    "https": "https",
    "kubernetes.io/ws": "http",
    "kubernetes.io/wss": "https",
}


def guess(entry: ExpectedForward, parent_ip: str) -> tuple[str, str]:
    """Return the URL of a forward from this host, and the basis of a guessed scheme.

    The second text is empty if the scheme is not a guess. If nothing names the scheme, the scheme
    is tcp or udp.
    """
    scheme, by = _scheme(entry)
    return f"{scheme}://{host(parent_ip)}:{entry.parent_port}", by


def host(parent_ip: str) -> str:
    """Return the name of this host in a URL, by the address that a forward listens on."""
    if not parent_ip or parent_ip in WILD or parent_ip in LOOPBACK:
        return "localhost"
    return bracketed(parent_ip)


def bracketed(address: str) -> str:
    """Return an address as written before a port: IPv6 in brackets."""
    if ":" in address:
        return f"[{address}]"
    return address


def _scheme(entry: ExpectedForward) -> tuple[str, str]:
    if entry.kind is Kind.API:
        return "https", ""
    if entry.proto not in {"tcp", "tcp4", "tcp6"}:
        scheme = "unknown"
        if entry.proto.isalnum():
            scheme = entry.proto
        return scheme, ""
    if entry.app_protocol or not entry.target:
        return _APP_PROTOCOLS.get(entry.app_protocol.lower(), "tcp"), ""
    return _by_name(entry.name) or _by_number(entry) or ("tcp", "")


def _by_name(name: str) -> tuple[str, str] | None:
    parts = [part for part in name.lower().split("-") if part]
    # `websecure` starts with `web`, and `https` with `http`, so the longer word comes first.
    for scheme, prefixes in (("https", _HTTPS_NAMES), ("http", _HTTP_NAMES)):
        if any(part.startswith(prefixes) for part in parts):
            return scheme, f"from the port name, {name}"
    return None


def _by_number(entry: ExpectedForward) -> tuple[str, str] | None:
    for scheme, numbers in (("https", _HTTPS_PORTS), ("http", _HTTP_PORTS)):
        if entry.child_port in numbers and entry.kind is Kind.SERVICE_PORT:
            return scheme, f"from the port number, {entry.child_port}"
    return None
