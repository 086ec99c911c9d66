"""Registries on the loopback of this host, which K3s's network namespace does not have."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from k3s_rootless.node.registries import endpoints
from k3s_rootless.node.registries.facts import Endpoint

_SECONDS = 1.0
_CIDR = "10.41.0.0/16"
_GATEWAY = 2
"""slirp4netns: the gateway is the second address of the network (K3s pkg/rootless)."""
_FALSE = frozenset(("0", "f", "F", "false", "False", "FALSE"))


def answers(endpoint: Endpoint) -> bool:
    """Return whether a program listens at the address of the endpoint on this host."""
    port = endpoint.port or endpoints.DEFAULT_PORTS[endpoint.scheme]
    try:
        with socket.create_connection((endpoint.host, port), timeout=_SECONDS):
            return True
    except OSError:
        return False


def advice(endpoint: Endpoint, environ: Mapping[str, str], *, heard: bool) -> tuple[str, ...]:
    """Return why the registry is not reachable, and the ways that work, as sentences."""
    port = endpoint.port or endpoints.DEFAULT_PORTS[endpoint.scheme]
    there = f"{endpoint.scheme}://"
    name = endpoint.registry
    setting = f"k3s-rootless registries set {name} --endpoint"
    first = f"{endpoint.host} is the loopback of K3s's own network namespace, not that of this host"
    if heard:
        first = f"{first}; on this host, a program listens on port {port}"
    ways = [first]
    reaches = f"{setting} {there}{_gateway(environ)}:{port}"
    if environ.get("K3S_ROOTLESS_DISABLE_HOST_LOOPBACK", "") in _FALSE:
        ways.append(f"K3s reaches the loopback of this host at another address: {reaches}")
    else:
        ways.append(
            "let the registry listen on an address of this host in its network, and use that"
            f" address: {setting} {there}ADDRESS:{port}"
        )
        ways.append(
            "let K3s and all pods reach the loopback of this host: set the endpoint to"
            f" {there}{_gateway(environ)}:{port}, and run: k3s-rootless env set"
            " K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false"
        )
    ways.append(
        "run the registry in the cluster with a nodePort, which is reachable at"
        f" {there}127.0.0.1:NODEPORT in the namespace"
    )
    return tuple(ways)


def _gateway(environ: Mapping[str, str]) -> str:
    try:
        network = ipaddress.ip_network(environ.get("K3S_ROOTLESS_CIDR") or _CIDR, strict=False)
    except ValueError:
        network = ipaddress.ip_network(_CIDR)
    return str(network.network_address + _GATEWAY)
