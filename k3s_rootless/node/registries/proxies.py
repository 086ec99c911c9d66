"""The proxy that containerd uses for an address, as Go chooses it.

Source: golang.org/x/net/http/httpproxy; K3s pkg/agent/containerd/containerd.go, which gives
containerd its own environment, with the values of CONTAINERD_<NAME> in place of those of <NAME>.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from k3s_rootless.node.registries import endpoints
from k3s_rootless.node.registries.facts import Proxies

_PREFIX = "CONTAINERD_"


def of_environment(environ: Mapping[str, str], added: Sequence[str] = ()) -> Proxies:
    """Return the proxy variables that containerd gets from the environment of K3s.

    `added` are the networks and the domain of the cluster, which K3s adds to NO_PROXY (its
    pkg/server, setNoProxyEnv).
    """
    given = (environ.get("NO_PROXY", ""), environ.get("no_proxy", ""), ".svc", *added)
    exceptions = environ.get(f"{_PREFIX}NO_PROXY", "") or ",".join(filter(None, given))
    return Proxies(_value(environ, "HTTP_PROXY"), _value(environ, "HTTPS_PROXY"), exceptions)


def chosen(found: Proxies, scheme: str, host: str, port: int) -> str:
    """Return the address of the proxy for a server; empty for a direct connection."""
    proxy = found.https
    if scheme == "http":
        proxy = found.http
    if not proxy or endpoints.is_loopback(host) or _is_excepted(found.exceptions, host, port):
        return ""
    if "://" not in proxy:
        return f"http://{proxy}"
    return proxy


def _value(environ: Mapping[str, str], name: str) -> str:
    for one in (name, name.lower()):
        value = environ.get(f"{_PREFIX}{one}", environ.get(one, ""))
        if value:
            return value
    return ""


def _is_excepted(text: str, host: str, port: int) -> bool:
    host = host.lower().rstrip(".")
    entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    return "*" in entries or _is_listed(entries, host, port)


def _is_listed(entries: Iterable[str], host: str, port: int) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(_matches_name(entry, host, port) for entry in entries)
    return any(_matches_address(entry, address, port) for entry in entries)


def _matches_name(entry: str, host: str, port: int) -> bool:
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdecimal():
        if int(digits) != port:
            return False
        entry = name
    entry = entry.removeprefix("*")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _matches_address(
    entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> bool:
    for network, only in ((entry, port), _with_port(entry)):
        try:
            if only == port and address in ipaddress.ip_network(network.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def _with_port(entry: str) -> tuple[str, int]:
    host, _, digits = entry.rpartition(":")
    if not digits.isdecimal():
        return entry, -1
    return host, int(digits)
