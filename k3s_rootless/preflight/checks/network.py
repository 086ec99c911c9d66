"""Checks of the host's network: ports, address ranges and names.

The node has its own network namespace. The checks find what in the host's network affects it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import product

from k3s_rootless.finding import FixableBy, Remedy, Severity
from k3s_rootless.k3s import features
from k3s_rootless.observation import Known
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    INFORMATIVE,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Network, Resolver, Surroundings, UsedPort
from k3s_rootless.preflight.remedies import host

check = Checklist()
SLIRP_RANGE = "10.41.0.0/16"
"""Default of K3S_ROOTLESS_CIDR (K3s pkg/rootless/rootless.go)."""
_STEP, _LAST = 100, 65_000
_OLD_IPTABLES = re.compile(r"v1\.8\.[0-4]\b.*nf_tables")


def _port(
    service: int | None, severity: Severity
) -> Callable[[Facts, Known[tuple[UsedPort, ...]]], Judgement]:
    def judge_port(facts: Facts, seen: Known[tuple[UsedPort, ...]]) -> Judgement:
        """Check that a port of the host is free.

        Forwards listen on all addresses; a failed one delays others (K3s pkg/rootlessports).
        """
        if service is None:
            port = facts.server.https_port
        elif facts.server.servicelb and facts.server.traefik:
            port = features.child_to_parent_port(service)
        else:
            return passed("not used: traefik or servicelb is disabled")
        used = [one for one in seen.value if one.port == port]
        if any(one.ours for one in used):
            return passed(f"{port} is in use by this K3s", seen.source)
        if not used:
            return passed(f"{port} is free", seen.source)
        remedy = _free_port(port, used[0], service)
        refuse = failed if severity is FATAL else warned
        return refuse(
            f"{port} is in use by {_program(used[0])}", _effect(service), remedy, seen.source
        )

    return judge_port


def _program(used: UsedPort) -> str:
    if used.program and used.pid:
        return f"{used.program} (PID {used.pid}, user {used.user})"
    return f"a program of {used.user}"


def _effect(service: int | None) -> str:
    if service is None:
        return "K3s cannot forward its API; kubectl connects to the other program instead"
    return f"port {service} of traefik is not forwarded, and other forwards are delayed"


def _free_port(port: int, used: UsedPort, service: int | None) -> Remedy:
    if used.foreign:
        return _avoid_port(port, used, service)
    command = f"ss -tlnp 'sport = :{port}'"
    program = f"{used.program} (PID {used.pid})" if used.program and used.pid else "this program"
    other = "change its port" if service is None else "start K3s with --disable=traefik"
    return Remedy(FixableBy.USER, f"stop {program}, or {other}", (command,))


def _avoid_port(port: int, used: UsedPort, service: int | None) -> Remedy:
    """Return how this user can avoid a port that another user's program uses.

    Only the owner of that program is allowed to stop it.
    """
    owner = "an administrator" if used.user == "root" else used.user
    if service is None:
        other = port + _STEP if port + _STEP < _LAST else port - _STEP
        text = (
            f"use another port for your K3s, such as {other} if it is free, or ask {owner} to free"
            f" port {port}"
        )
        return Remedy(FixableBy.USER, text, (f"k3s-rootless config set https-listen-port {other}",))
    text = f"start your K3s without traefik, or ask {owner} to free port {port}"
    return Remedy(FixableBy.USER, text, ("k3s-rootless config set disable traefik",))


for _id, _service, _title, _worst in (
    ("api", None, "API port", FATAL),
    ("http", 80, "HTTP port of traefik", DEGRADED),
    ("https", 443, "HTTPS port of traefik", DEGRADED),
):
    check.seen(f"net.port.{_id}", _title, _worst, "sockets", "unit")(_port(_service, _worst))


def _ranges(facts: Facts) -> dict[str, str]:
    environment = facts.unit.value.environment if isinstance(facts.unit, Known) else {}
    return {
        "rootless": environment.get("K3S_ROOTLESS_CIDR") or SLIRP_RANGE,
        "pods": facts.server.cluster_cidr,
        "services": facts.server.service_cidr,
    }


_RANGES = {
    "rootless": "K3S_ROOTLESS_CIDR",
    "pods": "the pod network",
    "services": "the Service network",
}


def _range(name: str) -> Callable[[Facts, Known[Network]], Judgement]:
    def judge_range(facts: Facts, seen: Known[Network]) -> Judgement:
        """Check that an address range of K3s is free on the host.

        K3s treats such a range as its own network, so pods cannot reach hosts with an address in
        it.
        """
        ranges = _ranges(facts)
        own = ranges[name]
        if not _networks(own):
            return unknown(f"{own!r} is not an address range")
        for other, text in ranges.items():
            if other != name and _networks_overlap(own, text):
                reason = "K3s does not check this, and pods cannot reach anything"
                observed = f"{own} overlaps {_RANGES[other]} ({text})"
                return warned(observed, reason, _other_range(name))
        overlaps = _overlaps(own, facts, seen.value)
        if not overlaps:
            return passed(f"{own} is free", seen.source)
        reason = "pods cannot reach these networks and name servers of the host"
        observed = f"{own} overlaps {', '.join(overlaps[:3])}"
        return warned(observed, reason, _other_range(name), seen.source)

    return judge_range


def _overlaps(own: str, facts: Facts, network: Network) -> list[str]:
    """Return the networks and name servers of the host that overlap a range of K3s."""
    found = []
    for address, interface in network.networks:
        if _networks_overlap(own, address):
            found.append(f"{address} ({interface})" if interface else address)
    if isinstance(facts.resolver, Known):
        servers = facts.resolver.value.nameservers
        found += [f"name server {server}" for server in servers if _networks_overlap(own, server)]
    return found


def _other_range(name: str) -> Remedy:
    if name == "rootless":
        return host.setting(
            "use another range for K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_CIDR", "172.31.240.0/24"
        )
    other_range = {
        "pods": "--cluster-cidr=10.142.0.0/16",
        "services": "--service-cidr=10.143.0.0/16",
    }
    text = f"create a new cluster with {other_range[name]}"
    command = "systemctl --user edit --full k3s-rootless.service"
    return Remedy(FixableBy.USER, text, (command,))


def _networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [
            ipaddress.ip_network(part.strip().partition("%")[0], strict=False)
            for part in text.split(",")
        ]
    except ValueError:
        return []


def _networks_overlap(one: str, other: str) -> bool:
    # Addresses of different families never overlap (ipaddress).
    return any(a.overlaps(b) for a, b in product(_networks(one), _networks(other)))


for _id, _title in (
    ("rootless", "K3S_ROOTLESS_CIDR"),
    ("pods", "Pod network"),
    ("services", "Service network"),
):
    check.seen(f"net.cidr.{_id}", _title, DEGRADED, "network", "resolver", "unit")(_range(_id))


@check.seen("net.mtu", "MTU", INFORMATIVE, "network", "unit")
def net_mtu(facts: Facts, seen: Known[Network]) -> Judgement:
    """Report the MTU: rootlesskit sets 65520 by default (K3s's documentation says 1500)."""
    environment = facts.unit.value.environment if isinstance(facts.unit, Known) else {}
    own = environment.get("K3S_ROOTLESS_MTU")
    out = seen.value.mtu
    route = "no default route"
    if seen.value.interface:
        route = f"{out or 'unknown'} on {seen.value.interface}"
    observed = f"{own or 65520} in K3s, {route}"
    if own is None and out is not None and out < 1500:
        remedy = host.setting("use the MTU of the default route", "K3S_ROOTLESS_MTU", str(out))
        return info(
            observed,
            "if large transfers stall (VPN, PPPoE), a smaller MTU helps",
            seen.source,
            remedy,
        )
    return passed(observed, seen.source)


@check.seen("net.resolver", "Name servers", DEGRADED, "resolver")
def net_resolver(_: Facts, seen: Known[Resolver]) -> Judgement:
    """Check that the host has a name server.

    slirp4netns queries the host's first name server for pods, even if it is a stub at 127.0.0.53.
    Search domains are dropped.
    """
    servers = seen.value.nameservers
    if not servers:
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "add a name server to /etc/resolv.conf, or start the resolver that writes this file",
        )
        return warned(
            "none",
            "pods cannot resolve names outside the cluster, and images cannot be pulled",
            remedy,
            seen.source,
        )
    domains = [domain for domain in seen.value.search if domain not in {".", "local"}]
    if domains:
        return info(
            f"{servers[0]}, search {' '.join(domains)}",
            "pods do not use these search domains",
            seen.source,
        )
    return passed(servers[0], seen.source)


@check.seen("net.localhost", "localhost in /etc/hosts", DEGRADED, "resolver")
def net_localhost(_: Facts, seen: Known[Resolver]) -> Judgement:
    """Check that /etc/hosts contains localhost.

    K3s creates its /etc/hosts from that of the host, and port-forward looks up localhost (K3s
    #5767).
    """
    if seen.value.localhost:
        return passed("exists", "/etc/hosts")
    commands = (
        "echo '127.0.0.1 localhost' | sudo tee -a /etc/hosts",
        "echo '::1 localhost' | sudo tee -a /etc/hosts",
    )
    remedy = Remedy(FixableBy.ADMINISTRATOR, "add localhost to /etc/hosts", commands)
    reason = "`kubectl port-forward` fails with `no such host`"
    return warned("does not exist", reason, remedy, "/etc/hosts")


@check.seen("net.route", "Default route", INFORMATIVE, "network")
def net_route(_: Facts, seen: Known[Network]) -> Judgement:
    """Report a missing default route.

    Rootless K3s starts without one, because its namespace always has one, but it cannot pull
    images.
    """
    if seen.value.interface:
        return passed(seen.value.interface, "/proc/net/route")
    return info(
        "none (IPv4)",
        "K3s starts, but images cannot be pulled",
        "/proc/net/route",
    )


@check.seen("net.firewall", "Firewall", INFORMATIVE, "surroundings")
def net_firewall(_: Facts, seen: Known[Surroundings]) -> Judgement:
    """Report a firewall of the host.

    Pods and Services are behind slirp4netns. The host's firewall affects only the forwarded ports.
    """
    found = []
    if "firewalld" in seen.value.services:
        found.append("firewalld")
    if seen.value.ufw:
        found.append("ufw")
    if found:
        reason = (
            "pods and Services need no rule; ports 6443, 10080 and 10443 need one if other hosts"
            " must reach them"
        )
        return info(", ".join(found), reason, seen.source)
    return passed("neither firewalld nor ufw", seen.source)


@check.seen("net.nm_cloud_setup", "nm-cloud-setup", INFORMATIVE, "surroundings")
def net_cloud(_: Facts, seen: Known[Surroundings]) -> Judgement:
    """Report nm-cloud-setup, which does not affect rootless K3s.

    It disturbs a rootful K3s on RHEL, which uses the routes of the host. A rootless K3s has its own
    routes.
    """
    if "nm-cloud-setup" in seen.value.services:
        return info(
            "active",
            "no action needed: K3s requires it to be disabled on rootful nodes only",
            seen.source,
        )
    return passed("not active", seen.source)


@check.seen("net.iptables", "iptables of the host", DEGRADED, "iptables")
def net_iptables(_: Facts, seen: Known[str]) -> Judgement:
    """Check the version of the host's iptables.

    K3s prefers the host's iptables to its own. 1.8.0 to 1.8.4 with nf_tables repeat rules (K3s
    #3117).
    """
    if not seen.value:
        return passed("none: K3s uses its own", seen.source)
    if _OLD_IPTABLES.search(seen.value):
        remedy = Remedy(
            FixableBy.USER,
            "make K3s use its own iptables with --prefer-bundled-bin (v1.23.15, v1.24.9, v1.25.5,"
            " v1.26.0 and later)",
            ("systemctl --user edit --full k3s-rootless.service",),
        )
        return warned(
            seen.value,
            "this version adds duplicate rules without limit, which slows K3s down",
            remedy,
            seen.source,
        )
    return passed(seen.value, seen.source)
