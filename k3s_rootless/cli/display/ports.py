"""The answer of `ports` as text: a table and what it does not say, or one thing explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known
from k3s_rootless.ports.facts import Status
from k3s_rootless.ports.rules import advice, explain

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.observation import Observed
    from k3s_rootless.ports.facts import Exposure, PortMap
    from k3s_rootless.ports.rules.advice import Advice
    from k3s_rootless.ports.rules.explain import Question

_HEAD = ("HOST", "CHILD PORT", "OFFSET", "PROTOCOL", "REACHES", "NAME", "VERDICT", "URL")
_SPARE = ("CHILD PORT", "NAME", "PROTOCOL", "OFFSET")
_PRIVILEGED = 1024
_WIDTH = 18


def table(
    report: Report, rows: Sequence[Exposure], addresses: Observed[tuple[Address, ...]]
) -> None:
    """Show all rows, the reasons below, and what a newcomer has to know."""
    head = (*_HEAD, "PROBE") if any(row.probe for row in rows) else _HEAD
    # Where room is short, REACHES and URL have the same, and the note below explains the offset.
    shown = (cells(row)[: len(head)] for row in rows)
    report.table(head, shown, spare=_SPARE, prose="REACHES")
    for row in rows:
        if row.status is Status.NOT_FORWARDED and row.target:
            report.answer(f"  {row.target}/{row.proto}: {row.reason}")
        elif row.reason:
            report.answer(f"  {row.parent_port}/{row.proto}: {row.reason}")
        elif row.rivals:
            report.answer(
                f"  {row.parent_port}/{row.proto}: {', '.join(row.rivals)} wants this port of the"
                " host as well"
            )
    report.answer()
    if any(row.offset for row in rows):
        report.answer(
            "K3s adds 10000 to ports up to and including 1024: what a Service calls 80 is 10080 of"
            " this host."
        )
    if any(row.url_guess and advice.is_reached(row) for row in rows):
        report.answer("http and https are guesses by the names and numbers of ports.")
    if any(row.status is Status.FORWARDED for row in rows):
        report.answer(
            "`forwarded`: no socket was seen inside, as with K3s's load balancer; a real connection"
            " tells: --probe"
        )
    _exposure(report, rows, addresses)


def unread(found: PortMap, blind: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return a line for each source in `blind`; none while K3s starts, which the row of its API
    says.
    """
    if found.starting:
        return ()
    return tuple(f"could not ask {source}: {reason}" for source, reason in blind)


def cells(row: Exposure) -> tuple[str, ...]:
    """Give a row of the table."""
    where = f"{row.parent_ip}:{row.parent_port}" if row.parent_ip else f"*:{row.parent_port}"
    if ":" in row.parent_ip:
        where = f"[{row.parent_ip}]:{row.parent_port}"
    took = (
        f" {row.probe.milliseconds:g} ms"
        if row.probe and row.probe.milliseconds is not None
        else ""
    )
    # What K3s never forwards has no port of the host; what it should, has one in brackets.
    never = row.status is Status.NOT_FORWARDED and row.verdict.value == "warn"
    return (
        where if row.forwarded else "-" if never else f"({row.parent_port})",
        str(row.child_port),
        f"+{row.offset}" if row.offset else "",
        row.proto,
        row.target or "unknown",
        row.port_name,
        row.status.value.replace("-", " "),
        row.url if advice.is_reached(row) else "",
        f"{row.probe.said}{took}" if row.probe else "",
    )


def explanation(
    report: Report,
    rows: Sequence[Exposure],
    question: Question,
    addresses: Observed[tuple[Address, ...]],
) -> None:
    """Explain each row that a question is about, and below it how to have a privileged port
    itself.
    """
    known = addresses.value if isinstance(addresses, Known) else ()
    for row in rows:
        _pairs(report, explain.told(row, question, known))
    moved = [
        row
        for row in rows
        if row.offset and row.child_port == question.number and row.forwarded and row.proto == "tcp"
    ]
    if moved and question.number is not None and question.number <= _PRIVILEGED:
        report.answer(f"To have port {question.number} itself:\n")
        for one in advice.port_itself(question.number, moved[0].parent_port):
            _advice(report, one)


def nothing(report: Report, question: Question, holder: str) -> None:
    """Explain a port that no row is about."""
    _pairs(report, explain.of_nothing(question, holder))


def _pairs(report: Report, pairs: Sequence[tuple[str, str]]) -> None:
    for heading, sentence in pairs:
        if heading:
            report.answer(f"  {heading:<{_WIDTH}}{sentence}", hang=2 + _WIDTH)
        else:
            report.answer(sentence)
    report.answer()


def _exposure(
    report: Report, rows: Sequence[Exposure], addresses: Observed[tuple[Address, ...]]
) -> None:
    counsel = advice.keep_the_network_out(rows)
    if counsel is None:
        return
    report.answer(
        "\nwarning: forwards marked * listen on all interfaces: the API and these Services face the"
        " network."
    )
    if isinstance(addresses, Known):
        reached = [f"{one.text} ({one.interface})" for one in addresses.value if not one.loopback]
        report.answer(
            f"They are reached at {', '.join(reached) or 'no address but loopback at the moment'}."
        )
    _advice(report, counsel)


def _advice(report: Report, one: Advice) -> None:
    report.answer(one.text)
    for command in one.commands:
        report.answer(f"  $ {command}")
    if one.undo:
        report.answer(f"  undo: {one.undo}")
    report.answer()
