"""Commands that close ports to the network, and commands that make port 80 itself usable.

K3s sets no address when it requests a forward from rootlesskit (its pkg/rootlessports, v1.21 to
v1.36), and has no option for an address. K3s also has no option that disables the offset. So an
administrator must do both outside of K3s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure
from k3s_rootless.ports.rules.socket_index import LOOPBACK, WILD

_TABLE = "k3s_rootless"
_LAST_PRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class Advice:
    """One way to change something: a sentence, its commands, and the command that undoes them."""

    text: str
    commands: tuple[str, ...]
    undo: str = ""


def exposed(rows: Iterable[Exposure]) -> tuple[Exposure, ...]:
    """Return the forwards that the network can reach: those that listen on more than loopback."""
    return tuple(row for row in rows if row.forwarded and row.parent_ip not in LOOPBACK)


def reachable(row: Exposure, addresses: Sequence[Address]) -> tuple[Address, ...]:
    """Return the addresses of this host at which a forward can be reached.

    A socket at `::` accepts IPv4 as well (ipv6(7), IPV6_V6ONLY, which Go leaves off). The driver of
    slirp4netns listens on IPv4 only.
    """
    listens_on = set(row.listens_on) or {row.parent_ip or "::"}
    if "::" in listens_on:
        return tuple(addresses)
    found = {}
    if listens_on & WILD:
        found = {one: None for one in addresses if ":" not in one.text}
    found |= {one: None for one in addresses if one.text in listens_on}
    return tuple(found)


def firewall_rules(rows: Iterable[Exposure]) -> Advice | None:
    """Return the firewall rules that accept loopback and drop all other traffic.

    None if the network can reach no forward.
    """
    ports: dict[str, set[int]] = {}
    for row in exposed(rows):
        ports.setdefault(row.proto.rstrip("46"), set()).add(row.parent_port)
    rules = [
        f"sudo nft add rule inet {_TABLE} input iifname != lo {proto} dport '{{ {_set(numbers)} }}'"
        " drop"
        for proto, numbers in sorted(ports.items())
        if proto in {"tcp", "udp"}
    ]
    if not rules:
        return None
    return Advice(
        "K3s has no option to listen on one address only. To block access from the network, an"
        " administrator adds firewall rules:",
        (
            f"sudo nft add table inet {_TABLE}",
            f"sudo nft add chain inet {_TABLE} input '{{ type filter hook input priority -10 ; }}'",
            *rules,
        ),
        undo=f"sudo nft delete table inet {_TABLE}",
    )


def privileged(port: int | None, rows: Iterable[Exposure]) -> tuple[Advice, ...]:
    """Return how an administrator makes a privileged port itself reach one of `rows`.

    Empty if K3s offsets none of these rows from this port.
    """
    if port is None or port > _LAST_PRIVILEGED:
        return ()
    for row in rows:
        if row.offset and row.child_port == port and row.forwarded and row.proto == "tcp":
            return redirects(port, row.parent_port)
    return ()


def redirects(port: int, forwarded: int) -> tuple[Advice, ...]:
    """Return the ways to use a privileged port: a redirect, and the sysctl with its limit."""
    redirect = f"tcp dport {port} redirect to :{forwarded}"
    match = f"-p tcp --dport {port} -j REDIRECT --to-ports {forwarded}"
    return (
        Advice(
            f"To redirect port {port} to {forwarded}, for the network and for this host, an"
            " administrator runs:",
            (
                f"sudo nft add table inet {_TABLE}_{port}",
                (
                    f"sudo nft add chain inet {_TABLE}_{port} prerouting '{{ type nat hook"
                    " prerouting priority dstnat ; }'"
                ),
                (
                    f"sudo nft add chain inet {_TABLE}_{port} output '{{ type nat hook output"
                    " priority dstnat ; }'"
                ),
                (
                    f"sudo nft add rule inet {_TABLE}_{port} prerouting fib daddr type local"
                    f" {redirect}"
                ),
                f"sudo nft add rule inet {_TABLE}_{port} output oifname lo {redirect}",
            ),
            undo=f"sudo nft delete table inet {_TABLE}_{port}",
        ),
        Advice(
            "Or the same with iptables (for IPv4; for IPv6, repeat with ip6tables):",
            (
                f"sudo iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL {match}",
                f"sudo iptables -t nat -A OUTPUT -o lo {match}",
            ),
            undo="repeat the commands with -D instead of -A",
        ),
        Advice(
            f"Or allow all users of this host to listen on port {port} and above, and run your own"
            " forwarder. The sysctl alone is not enough, because K3s still adds 10000:",
            (
                f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port}",
                f"socat TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr TCP:localhost:{forwarded}",
            ),
            undo="sudo sysctl net.ipv4.ip_unprivileged_port_start=1024",
        ),
    )


def _set(numbers: Iterable[int]) -> str:
    # Consecutive ports become one interval, which keeps the rule short if there are thousands.
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(_span(first, last) for first, last in spans)


def _span(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}-{last}"
