"""The URL to click: what a port speaks is its Service's word (appProtocol), or a guess by the
port's name and number.
"""

from __future__ import annotations

from k3s_rootless.ports.facts import Kind
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import WILD

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


def guess(want: Wanted, parent_ip: str) -> tuple[str, str]:
    """Give the URL of a forward from this host, and by what its scheme was guessed; "" where it is
    no guess.

    Where nothing tells, the scheme is tcp or udp, which says no more than is known.
    """
    scheme, by = _scheme(want)
    return f"{scheme}://{host(parent_ip)}:{want.parent_port}", by


def host(parent_ip: str) -> str:
    """Give how this host is called in a URL, by the address that a forward listens on."""
    if not parent_ip or parent_ip in WILD or parent_ip in {"127.0.0.1", "::1"}:
        return "localhost"
    return f"[{parent_ip}]" if ":" in parent_ip else parent_ip


def _scheme(want: Wanted) -> tuple[str, str]:
    if want.kind is Kind.API:
        return "https", ""
    if want.proto not in {"tcp", "tcp4", "tcp6"}:
        return want.proto if want.proto.isalnum() else "unknown", ""
    if want.app_protocol or not want.target:
        return _APP_PROTOCOLS.get(want.app_protocol.lower(), "tcp"), ""
    return _by_name(want.name) or _by_number(want) or ("tcp", "")


def _by_name(name: str) -> tuple[str, str] | None:
    parts = [part for part in name.lower().split("-") if part]
    # `websecure` begins with `web`, and `https` with `http`: the longer word first.
    for scheme, words in (("https", _HTTPS_NAMES), ("http", _HTTP_NAMES)):
        if any(part.startswith(words) for part in parts):
            return scheme, f"by the port's name, {name}"
    return None


def _by_number(want: Wanted) -> tuple[str, str] | None:
    for scheme, numbers in (("https", _HTTPS_PORTS), ("http", _HTTP_PORTS)):
        if want.child_port in numbers and want.kind is Kind.SERVICE_PORT:
            return scheme, f"by the port's number, {want.child_port}"
    return None
