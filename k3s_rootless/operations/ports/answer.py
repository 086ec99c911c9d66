"""The result of `ports`: the requested rows, and everything that is shown with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.ports.rules import advice, remarks

if TYPE_CHECKING:
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.ports.facts import Exposure, PortMap
    from k3s_rootless.ports.rules.advice import Advice
    from k3s_rootless.ports.rules.explanation import Explanation
    from k3s_rootless.ports.rules.question import Question

_MOST_NAMES = 12
About = Mapping["Question", tuple["Exposure", ...]]
"""The rows that match each question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of `ports`; `rows` are those that match the questions, or all rows.

    `node_ports` is the number of NodePort Services that the rows leave out. `unread` contains the
    name and the reason of each source that could not be read, `notices` the lines about them.
    `starting` is True if K3s is still starting. `exposed` is the number of forwards that are
    reachable from the network, `advice` is how to prevent that. Each of the `explanations` answers
    one question.
    """

    rows: tuple[Exposure, ...]
    addresses: Observed[tuple[Address, ...]]
    internal: int | None
    node_ports: int
    unread: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]
    starting: bool
    exposed: int
    advice: Advice | None
    explanations: tuple[Explanation, ...]
    exit_code: int

    @property
    def remarks(self) -> tuple[str, ...]:
        """The lines below the table that describe one row each."""
        return tuple(filter(None, map(remarks.of_row, self.rows)))

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines below the table that explain its columns, and what it leaves out."""
        return (*remarks.of_table(self.rows), *remarks.of_node_ports(self.node_ports))

    @property
    def warning(self) -> tuple[str, ...]:
        """The lines about forwards that are reachable from the network."""
        if self.advice is None:
            return ()
        return remarks.of_exposed(self.addresses)


def of_all(found: PortMap, addresses: Observed[tuple[Address, ...]]) -> Answer:
    """Return the result for all rows."""
    code = _exit_code(found, complete=True)
    return _answer(found, addresses, found.rows, (), code, found.node_ports)


def of_questions(
    found: PortMap,
    addresses: Observed[tuple[Address, ...]],
    about: About,
    explanations: tuple[Explanation, ...],
) -> Answer:
    """Return the result for the rows that match the questions, each row once."""
    rows = tuple(dict.fromkeys(row for group in about.values() for row in group))
    code = _exit_code(found, complete=all(about.values()))
    return _answer(found, addresses, rows, explanations, code)


def refuse_unknown(found: PortMap, about: About) -> None:
    """Raise an error for names that match no row: NotReady while K3s starts, else RootlessError."""
    unknown = [question for question, rows in about.items() if not rows and question.number is None]
    if not unknown:
        return
    names = ", ".join(f"`{question.text}`" for question in unknown)
    if found.starting:
        raise NotReady(
            f"cannot look up {names}: K3s is starting, and its Services are not known yet",
            hint="check the progress with: k3s-rootless status",
        )
    reason = dict(found.unread).get("services")
    if reason:
        raise RootlessError(
            f"cannot look up {names}: {reason}",
            hint="use the number of a port, or check with: k3s-rootless status",
        )
    raise RootlessError(
        f"cannot look up {names}: no Service and no port has this name",
        hint=f"{_existing(found)}; list all ports with: k3s-rootless ports --all",
    )


def _existing(found: PortMap) -> str:
    names = sorted({f"{row.namespace}/{row.service}" for row in found.rows if row.service})
    if not names:
        return "the cluster has no Services"
    return f"Services: {', '.join(names[:_MOST_NAMES])}"


def _answer(
    found: PortMap,
    addresses: Observed[tuple[Address, ...]],
    rows: tuple[Exposure, ...],
    explanations: tuple[Explanation, ...],
    exit_code: int,
    node_ports: int = 0,
) -> Answer:
    unread = found.unread
    if isinstance(addresses, Unknown):
        unread = (*unread, ("addresses", addresses.reason))
    return Answer(
        rows=rows,
        addresses=addresses,
        internal=found.internal,
        node_ports=node_ports,
        unread=unread,
        notices=_notices(found, unread),
        starting=found.starting,
        exposed=len(advice.exposed(rows)),
        advice=advice.firewall_rules(rows),
        explanations=explanations,
        exit_code=exit_code,
    )


def _notices(found: PortMap, unread: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    if found.starting:
        return ()  # the row of the API server shows this
    return remarks.of_unread(unread)


def _exit_code(found: PortMap, *, complete: bool) -> int:
    failed = any(row.probe and row.probe.answered is False for row in found.rows)
    if failed or not complete:
        return 1
    unreadable = {"rootlesskit", "services"} <= dict(found.unread).keys()
    if found.starting or unreadable:
        return NotReady.exit_code
    return 0
