"""One thing explained in full: what `80`, `web`, `default/web:http` or `10080` mean, from the host
inwards and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k3s_rootless.errors import UsageError
from k3s_rootless.k3s import features
from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure, Kind, Status
from k3s_rootless.ports.rules import advice

_LAST_PORT, _DIGITS, _SHOWN = 65535, 5, 20
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
class Question:
    """What is asked about: a port, or a Service with namespace and port (by name or number) where
    they are given.
    """

    text: str
    number: int | None = None
    namespace: str = ""
    name: str = ""
    port: str = ""

    @classmethod
    def of(cls, text: str) -> Question:
        """Read `80`, `web`, `default/web`, `web:http` or `default/web:80`.

        Raises UsageError for a number that is no port.
        """
        if text.isascii() and text.isdecimal():
            # Leading zeros aside, a longer number is no port either, and int() refuses very long
            # ones.
            number = int(text) if len(text) <= _DIGITS else 0
            if not 1 <= number <= _LAST_PORT:
                raise UsageError(
                    f"cannot look up port {text[:_SHOWN]}: a port is a number from 1 to"
                    f" {_LAST_PORT}"
                )
            return cls(text, number=number)
        space, slash, rest = text.rpartition("/")
        name, _, port = rest.partition(":")
        return cls(text, namespace=space if slash else "", name=name, port=port)


def find(rows: Sequence[Exposure], question: Question) -> tuple[Exposure, ...]:
    """Pick the rows that are meant: a number is a port on either side, a name a Service or, if no
    Service has it, a port.
    """
    if question.number is not None:
        return tuple(row for row in rows if question.number in {row.parent_port, row.child_port})
    found = [row for row in rows if _is_named(row, question)]
    if not found and question.name and not question.namespace and not question.port:
        found = [row for row in rows if row.port_name == question.name]
    return tuple(found)


def told(row: Exposure, question: Question, addresses: Sequence[Address]) -> list[tuple[str, str]]:
    """Explain a row, as pairs of a heading and a sentence."""
    name = f" ({row.port_name})" if row.port_name else ""
    lines = [("", f"{row.target or 'a forward that nobody asks for'}{name}, {row.proto}")]
    lines.append(
        ("verdict", row.status.value.replace("-", " ") + (f": {row.reason}" if row.reason else ""))
    )
    if row.forwarded:
        lines += _inwards(row, addresses)
    if row.rivals:
        lines.append(
            ("wanted by", f"{', '.join(row.rivals)} as well: whichever K3s comes to first has it")
        )
    lines += _back(row, question)
    if row.probe is not None:
        took = f" ({row.probe.milliseconds:g} ms)" if row.probe.milliseconds is not None else ""
        lines.append(("probe", f"{row.probe.said}{took}"))
    return lines


def of_nothing(question: Question, holder: str) -> list[tuple[str, str]]:
    """Say what is known of a port that no row is about; `holder` tells who listens there, and is
    empty for nobody.
    """
    number = question.number or 0
    parent = features.child_to_parent_port(number)
    lines = [("", f"port {number}: no Service has it, and K3s forwards nothing there")]
    lines.append(("by the rule", f"port {number} of a Service would be port {parent} of this host"))
    if number > 10000 and number - 10000 <= 1024:
        lines.append(
            ("", f"port {number - 10000} of a Service would come here as well, with 10000 added")
        )
    lines.append(
        (
            "on this host",
            f"{holder} holds port {number}" if holder else f"nobody listens at port {number}",
        )
    )
    return lines


def _inwards(row: Exposure, addresses: Sequence[Address]) -> list[tuple[str, str]]:
    guess = f" (a guess, {row.url_guess})" if row.url_guess else ""
    reached = [one for one in advice.reachable(row, addresses) if not one.loopback]
    networks = ", ".join(
        f"{_bracketed(one.text)}:{row.parent_port} ({one.interface})" for one in reached
    )
    lines = [("from this host", f"{row.url}{guess}")] if advice.is_reached(row) else []
    nowhere = (
        "this host has no address but loopback"
        if advice.exposed([row])
        else "not at all: it listens on loopback only"
    )
    lines.append(("from the network", networks or nowhere))
    further = (
        f"; rootlesskit takes it to port {row.child_port} of K3s's namespace" if row.target else ""
    )
    lines.append(("the way in", f"{row.explanation}{further}"))
    lines.append(("inside", _INSIDE[row.inside]))
    return lines


def _back(row: Exposure, question: Question) -> list[tuple[str, str]]:
    port, parent = row.child_port, row.parent_port
    if row.kind in {Kind.STRAY, Kind.UNKNOWN}:
        return []
    if row.status is Status.NOT_FORWARDED:
        return [("the way back", f"{row.target} has no port on this host")]
    if row.kind is Kind.API:
        return [
            (
                "the way back",
                f"the API server is port {port} on both sides: its port is never offset",
            )
        ]
    if row.offset:
        back = (
            f"{row.target} is port {parent} of this host and no other: port {port} of this host"
            " itself is not K3s's"
        )
        asked = " (asked for here)" if question.number == port else ""
        return [("the way back", f"{back}{asked}")]
    return [
        (
            "the way back",
            f"{row.target} is port {parent} of this host, the same number on both sides",
        )
    ]


def _is_named(row: Exposure, question: Question) -> bool:
    if question.port and question.port not in {
        row.port_name,
        str(row.child_port),
        str(row.parent_port),
    }:
        return False
    if row.kind is Kind.API:
        return not question.namespace and question.name.lower() in _API_NAMES
    return (
        row.service == question.name
        and question.namespace in {"", row.namespace}
        and bool(row.service)
    )


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
