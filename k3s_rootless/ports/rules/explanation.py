"""The full explanation of one port or Service: its status, and its addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k3s_rootless.k3s import features
from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure, Kind, Status
from k3s_rootless.ports.rules import advice, urls
from k3s_rootless.ports.rules.advice import Advice
from k3s_rootless.ports.rules.question import Question

_NO_TARGET = {
    Kind.ORPHANED: "a forward that no Service needs",
    Kind.UNKNOWN: "a forward for an unknown Service",
}
Line = tuple[str, str]
"""A heading, which can be empty, and a sentence."""
_API_NAMES = frozenset({"api", "kubernetes", "apiserver"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to one question: a paragraph for each row.

    `privileged` holds the ways to use a privileged port itself, if the question is about one.
    """

    question: Question
    paragraphs: tuple[tuple[Line, ...], ...]
    privileged: tuple[Advice, ...] = ()


def find(rows: Sequence[Exposure], question: Question) -> tuple[Exposure, ...]:
    """Return the rows that match a question.

    A number is a port on either side. A name is a Service or, if no Service has this name, the name
    of a port.
    """
    if question.number is not None:
        return tuple(row for row in rows if question.number in {row.parent_port, row.child_port})
    found = tuple(row for row in rows if _is_named(row, question))
    if found or not question.name or question.namespace or question.port:
        return found
    return tuple(row for row in rows if row.port_name == question.name)


def of_rows(
    question: Question, rows: Sequence[Exposure], addresses: Sequence[Address]
) -> Explanation:
    """Explain the rows that match a question; `addresses` are those of this host."""
    paragraphs = tuple(tuple(of_row(row, addresses)) for row in rows)
    return Explanation(question, paragraphs, advice.privileged(question.number, rows))


def of_row(row: Exposure, addresses: Sequence[Address]) -> list[Line]:
    """Explain one row."""
    name = f" ({row.port_name})" if row.port_name else ""
    lines = [("", f"{row.target or _NO_TARGET[row.kind]}{name}, {row.proto}")]
    reason = f": {row.reason}" if row.reason else ""
    lines.append(("status", f"{row.status.value.replace('-', ' ')}{reason}"))
    if row.forwarded:
        lines += _forward(row, addresses)
    if row.conflicts_with:
        targets = ", ".join(row.conflicts_with)
        lines.append(("conflicts with", f"{targets}: K3s forwards the first one that it processes"))
    host_port = _host_port(row)
    if host_port:
        lines.append(("host port", host_port))
    if row.probe is not None:
        lines.append(("probe", row.probe.result + _duration(row.probe.milliseconds)))
    return lines


def of_nothing(question: Question, owner: str) -> Explanation:
    """Explain a port without a row; `owner` describes the process that uses it, if any."""
    number = question.number or 0
    parent = features.child_to_parent_port(number)
    lines = [("", f"port {number}: no Service has this port, and K3s does not forward it")]
    ports = f"port {number}"
    if number > 10000 and number - 10000 <= 1024:
        ports = f"port {number - 10000} or {number}"
    lines.append(("mapping", f"{ports} of a Service would be port {parent} of this host"))
    on_this_host = f"no process listens on port {number}"
    if owner:
        on_this_host = f"port {number} is in use by {owner}"
    lines.append(("on this host", on_this_host))
    return Explanation(question, (tuple(lines),))


def _is_named(row: Exposure, question: Question) -> bool:
    ports = {row.port_name, str(row.child_port), str(row.parent_port)}
    if question.port and question.port not in ports:
        return False
    if row.kind is Kind.API:
        return not question.namespace and question.name.lower() in _API_NAMES
    if not row.service or row.service != question.name:
        return False
    return question.namespace in {"", row.namespace}


def _forward(row: Exposure, addresses: Sequence[Address]) -> list[Line]:
    lines = []
    if row.is_reachable:
        guess = f" (scheme guessed {row.url_guess})" if row.url_guess else ""
        lines.append(("from this host", f"{row.url}{guess}"))
    lines.append(("from the network", _from_the_network(row, addresses)))
    further = ""
    if row.target:
        further = f"; rootlesskit connects to port {row.child_port} of K3s's namespace"
    lines.append(("forward", f"{row.explanation}{further}"))
    lines.append(("in the child", _in_child(row)))
    return lines


def _in_child(row: Exposure) -> str:
    where = f"port {row.child_port} of K3s's namespace"
    if row.child_listening is None:
        return "unknown: the sockets of K3s's namespace could not be read"
    if row.child_listening:
        return f"a program listens on {where}"
    usual = ""
    if row.status is Status.FORWARDED:
        usual = ", which is usual for K3s's load balancer; test the connection with --probe"
    return f"no socket listens on {where}{usual}"


def _from_the_network(row: Exposure, addresses: Sequence[Address]) -> str:
    found = [one for one in advice.reachable(row, addresses) if not one.loopback]
    if found:
        return ", ".join(
            f"{urls.bracketed(one.text)}:{row.parent_port} ({one.interface})" for one in found
        )
    if advice.exposed([row]):
        return "not reachable: this host has only loopback addresses"
    return "not reachable: the forward listens on loopback only"


def _host_port(row: Exposure) -> str:
    port, parent = row.child_port, row.parent_port
    if row.kind in {Kind.ORPHANED, Kind.UNKNOWN}:
        return ""
    if row.status is Status.NOT_FORWARDED:
        return "none"
    if not row.offset and row.forwarded:
        return ""
    if not row.offset:
        return f"{parent}, the same number as in K3s's namespace"
    return f"{parent} only; port {port} of this host itself is not forwarded to {row.target}"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    return f" ({milliseconds:g} ms)"
