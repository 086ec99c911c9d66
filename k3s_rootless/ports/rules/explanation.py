"""The full explanation of one port or Service: the way in from the host, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k3s_rootless.k3s import features
from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure, Kind, Status
from k3s_rootless.ports.rules import advice, urls
from k3s_rootless.ports.rules.advice import Advice
from k3s_rootless.ports.rules.question import Question

Line = tuple[str, str]
"""A heading, which can be empty, and a sentence."""
_API_NAMES = frozenset({"api", "kubernetes", "apiserver"})
_INSIDE = {
    True: "a socket of K3s's namespace takes it",
    False: (
        "no socket there: K3s's load balancer redirects in the kernel (a real connection tells:"
        " --probe)"
    ),
    None: "nobody could look",
}


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
    paragraphs = tuple(tuple(of_row(row, question, addresses)) for row in rows)
    return Explanation(question, paragraphs, advice.privileged(question.number, rows))


def of_row(row: Exposure, question: Question, addresses: Sequence[Address]) -> list[Line]:
    """Explain one row."""
    name = f" ({row.port_name})" if row.port_name else ""
    lines = [("", f"{row.target or 'a forward that nobody asks for'}{name}, {row.proto}")]
    reason = f": {row.reason}" if row.reason else ""
    lines.append(("verdict", f"{row.status.value.replace('-', ' ')}{reason}"))
    if row.forwarded:
        lines += _inwards(row, addresses)
    if row.rivals:
        rivals = ", ".join(row.rivals)
        lines.append(("wanted by", f"{rivals} as well: whichever K3s comes to first has it"))
    back = _back(row, question)
    if back:
        lines.append(("the way back", back))
    if row.probe is not None:
        lines.append(("probe", row.probe.said + _took(row.probe.milliseconds)))
    return lines


def of_nothing(question: Question, holder: str) -> Explanation:
    """Explain a port that no row is about; `holder` describes its owner, empty if it is free."""
    number = question.number or 0
    parent = features.child_to_parent_port(number)
    lines = [("", f"port {number}: no Service has it, and K3s forwards nothing there")]
    lines.append(("by the rule", f"port {number} of a Service would be port {parent} of this host"))
    if number > 10000 and number - 10000 <= 1024:
        lines.append(
            ("", f"port {number - 10000} of a Service would come here as well, with 10000 added")
        )
    on_this_host = f"nobody listens at port {number}"
    if holder:
        on_this_host = f"{holder} holds port {number}"
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


def _inwards(row: Exposure, addresses: Sequence[Address]) -> list[Line]:
    lines = []
    if row.is_reached:
        guess = f" (a guess, {row.url_guess})" if row.url_guess else ""
        lines.append(("from this host", f"{row.url}{guess}"))
    lines.append(("from the network", _from_the_network(row, addresses)))
    further = ""
    if row.target:
        further = f"; rootlesskit takes it to port {row.child_port} of K3s's namespace"
    lines.append(("the way in", f"{row.explanation}{further}"))
    lines.append(("inside", _INSIDE[row.inside]))
    return lines


def _from_the_network(row: Exposure, addresses: Sequence[Address]) -> str:
    found = [one for one in advice.reachable(row, addresses) if not one.loopback]
    if found:
        return ", ".join(
            f"{urls.bracketed(one.text)}:{row.parent_port} ({one.interface})" for one in found
        )
    if advice.exposed([row]):
        return "this host has no address but loopback"
    return "not at all: it listens on loopback only"


def _back(row: Exposure, question: Question) -> str:
    port, parent = row.child_port, row.parent_port
    if row.kind in {Kind.STRAY, Kind.UNKNOWN}:
        return ""
    if row.status is Status.NOT_FORWARDED:
        return f"{row.target} has no port on this host"
    if row.kind is Kind.API:
        return f"the API server is port {port} on both sides: its port is never offset"
    if not row.offset:
        return f"{row.target} is port {parent} of this host, the same number on both sides"
    back = (
        f"{row.target} is port {parent} of this host and no other: port {port} of this host itself"
        " is not K3s's"
    )
    if question.number == port:
        return f"{back} (asked for here)"
    return back


def _took(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    return f" ({milliseconds:g} ms)"
