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
    passed,
    told,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Beside, Held, Network, Resolver
from k3s_rootless.preflight.remedies import host

check = Checklist()
SLIRP_RANGE = "10.41.0.0/16"
"""Default of K3S_ROOTLESS_CIDR (K3s pkg/rootless/rootless.go)."""
_STEP, _LAST = 100, 65_000
_OLD_IPTABLES = re.compile(r"v1\.8\.[0-4]\b.*nf_tables")


def _port(
    service: int | None, severity: Severity
) -> Callable[[Facts, Known[tuple[Held, ...]]], Judgement]:
    def judge_port(facts: Facts, seen: Known[tuple[Held, ...]]) -> Judgement:
        """Check that a port of the host is free.

        Forwards listen on all addresses; a failed one delays others (K3s pkg/rootlessports).
        """
        if service is None:
            port = facts.server.https_port
        elif facts.server.servicelb and facts.server.traefik:
            port = features.child_to_parent_port(service)
        else:
            return passed("the unit asks for no traefik")
        held = [one for one in seen.value if one.port == port]
        if any(one.ours for one in held):
            return passed(f"{port}: K3s's own", seen.source)
        if not held:
            return passed(f"{port} is free", seen.source)
        remedy = _freed(port, held[0], service)
        refuse = failed if severity is FATAL else warned
        return refuse(f"{port} is held by {_owner(held[0])}", _effect(service), remedy, seen.source)

    return judge_port


def _owner(held: Held) -> str:
    if held.program and held.pid:
        return f"{held.program} (pid {held.pid}) of {held.user}"
    return f"a program of {held.user}"


def _effect(service: int | None) -> str:
    if service is None:
        return (
            "K3s cannot forward its API, so nobody reaches it, and kubectl talks to somebody else's"
        )
    return f"traefik's port {service} is not forwarded, and other forwards wait behind it"


def _freed(port: int, held: Held, service: int | None) -> Remedy:
    if held.foreign:
        return _avoided(port, held, service)
    look = f"ss -tlnp 'sport = :{port}'"
    if service is None:
        return Remedy(FixableBy.USER, f"end {_owner(held)}, or let it listen elsewhere", (look,))
    return Remedy(
        FixableBy.USER, f"end {_owner(held)}, or start K3s with --disable=traefik", (look,)
    )


def _avoided(port: int, held: Held, service: int | None) -> Remedy:
    """Return how this user can avoid a port that another user's program uses.

    Only the owner of that program is allowed to end it.
    """
    ask = "an administrator" if held.user == "root" else held.user
    if service is None:
        other = port + _STEP if port + _STEP < _LAST else port - _STEP
        text = (
            f"give your K3s another port, such as {other} if that is free, or ask {ask} to free"
            f" port {port}"
        )
        return Remedy(FixableBy.USER, text, (f"k3s-rootless config set https-listen-port {other}",))
    text = f"start your K3s without traefik, or ask {ask} to free port {port}"
    return Remedy(FixableBy.USER, text, ("k3s-rootless config set disable traefik",))


for _id, _service, _title, _worst in (
    ("api", None, "Port of the API", FATAL),
    ("http", 80, "Port of traefik, http", DEGRADED),
    ("https", 443, "Port of traefik, https", DEGRADED),
):
    check.seen(f"net.port.{_id}", _title, _worst, "sockets", "unit")(_port(_service, _worst))


def _ranges(facts: Facts) -> dict[str, str]:
    environment = facts.unit.value.environment if isinstance(facts.unit, Known) else {}
    return {
        "rootless": environment.get("K3S_ROOTLESS_CIDR") or SLIRP_RANGE,
        "pods": facts.server.cluster_cidr,
        "services": facts.server.service_cidr,
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
            return unknown(f"{own!r} is no range of addresses")
        for other, text in ranges.items():
            if other != name and _meet(own, text):
                reason = "K3s does not check that, and pods reach nothing"
                return warned(f"{own} is also the range of {other}", reason, _elsewhere(name))
        overlaps = _overlaps(own, facts, seen.value)
        if not overlaps:
            return passed(f"{own} is free", seen.source)
        reason = (
            "the host has these itself: pods do not reach them, nor names that are asked for there"
        )
        observed = f"{own} overlaps {', '.join(overlaps[:3])}"
        return warned(observed, reason, _elsewhere(name), seen.source)

    return judge_range


def _overlaps(own: str, facts: Facts, network: Network) -> list[str]:
    """Return the networks and name servers of the host that overlap a range of K3s."""
    found = []
    for address, interface in network.networks:
        if _meet(own, address):
            found.append(f"{address} ({interface})" if interface else address)
    if isinstance(facts.resolver, Known):
        servers = facts.resolver.value.nameservers
        found += [f"name server {server}" for server in servers if _meet(own, server)]
    return found


def _elsewhere(name: str) -> Remedy:
    if name == "rootless":
        return host.setting(
            "give K3s another range for its own network", "K3S_ROOTLESS_CIDR", "172.31.240.0/24"
        )
    other_range = {
        "pods": "--cluster-cidr=10.142.0.0/16",
        "services": "--service-cidr=10.143.0.0/16",
    }
    text = f"start a new cluster with {other_range[name]}"
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


def _meet(one: str, other: str) -> bool:
    # Addresses of different families never overlap (ipaddress).
    return any(a.overlaps(b) for a, b in product(_networks(one), _networks(other)))


for _id, _title in (
    ("rootless", "K3S_ROOTLESS_CIDR"),
    ("pods", "Range of pods"),
    ("services", "Range of Services"),
):
    check.seen(f"net.cidr.{_id}", f"{_title} is free", DEGRADED, "network", "resolver", "unit")(
        _range(_id)
    )


@check.seen("net.mtu", "MTU", INFORMATIVE, "network", "unit")
def net_mtu(facts: Facts, seen: Known[Network]) -> Judgement:
    """Report the MTU: rootlesskit sets 65520 by default (K3s's documentation says 1500)."""
    environment = facts.unit.value.environment if isinstance(facts.unit, Known) else {}
    own = environment.get("K3S_ROOTLESS_MTU")
    out = seen.value.mtu
    observed = (
        f"{own or 65520} inside, {out or 'unknown'} at {seen.value.interface or 'no default route'}"
    )
    if own is None and out is not None and out < 1500:
        remedy = host.setting("take the MTU of the way out", "K3S_ROOTLESS_MTU", str(out))
        return told(
            observed,
            "where large transfers stall (a VPN, PPPoE), a smaller MTU helps",
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
            "name a server in /etc/resolv.conf, or start the resolver that writes it",
        )
        return warned(
            "no name server",
            "pods resolve no name outside of the cluster, and no image can be pulled",
            remedy,
            seen.source,
        )
    domains = [domain for domain in seen.value.search if domain not in {".", "local"}]
    if domains:
        return told(
            f"{servers[0]}, search {' '.join(domains)}",
            "pods do not know these search domains",
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
        return passed("there", "/etc/hosts")
    commands = (
        "echo '127.0.0.1 localhost' | sudo tee -a /etc/hosts",
        "echo '::1 localhost' | sudo tee -a /etc/hosts",
    )
    remedy = Remedy(FixableBy.ADMINISTRATOR, "name localhost in /etc/hosts", commands)
    return warned("missing", "`kubectl port-forward` fails: no such host", remedy, "/etc/hosts")


@check.seen("net.route", "Way out of this host", INFORMATIVE, "network")
def net_route(_: Facts, seen: Known[Network]) -> Judgement:
    """Report a missing default route.

    Rootless K3s starts without one, because its namespace always has one, but it cannot pull
    images.
    """
    if seen.value.interface:
        return passed(seen.value.interface, "/proc/net/route")
    return told(
        "no default route (IPv4)",
        "no image can be pulled; K3s starts all the same",
        "/proc/net/route",
    )


@check.seen("net.firewall", "Firewall", INFORMATIVE, "beside")
def net_firewall(_: Facts, seen: Known[Beside]) -> Judgement:
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
            "pods and Services need no rule; only who comes from other hosts to 6443, 10080, 10443"
            " does"
        )
        return told(", ".join(found), reason, seen.source)
    return passed("neither firewalld nor ufw", seen.source)


@check.seen("net.nm_cloud_setup", "nm-cloud-setup", INFORMATIVE, "beside")
def net_cloud(_: Facts, seen: Known[Beside]) -> Judgement:
    """Report nm-cloud-setup, which does not affect rootless K3s.

    It disturbs a rootful K3s on RHEL, which uses the routes of the host. A rootless K3s has its own
    routes.
    """
    if "nm-cloud-setup" in seen.value.services:
        return told(
            "active",
            "it may stay: K3s's documentation asks rootful nodes to switch it off",
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
        return passed("none: K3s takes its own", seen.source)
    if _OLD_IPTABLES.search(seen.value):
        remedy = Remedy(
            FixableBy.USER,
            "let K3s take its own iptables, with --prefer-bundled-bin (v1.23.15, v1.24.9, v1.25.5,"
            " v1.26.0 and later)",
            ("systemctl --user edit --full k3s-rootless.service",),
        )
        return warned(
            seen.value,
            "this iptables repeats rules without end, and slows K3s down",
            remedy,
            seen.source,
        )
    return passed(seen.value, seen.source)
