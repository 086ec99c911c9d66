"""Read the sources of a running K3s, and answer questions about its ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import addresses as interfaces
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.ports import answer as answers
from k3s_rootless.operations.ports import sources
from k3s_rootless.ports.rules import explanation, exposure, reasons

if TYPE_CHECKING:
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.ports.answer import Answer
    from k3s_rootless.ports.facts import PortMap, Running, Sources
    from k3s_rootless.ports.rules.question import Question
    from k3s_rootless.service.facts import UnitState


def answer(
    context: Context,
    state: UnitState,
    questions: Sequence[Question],
    *,
    everything: bool = False,
    probe: bool = False,
) -> Answer:
    """Return the result for the K3s that the unit runs; with questions, all rows are read.

    Raises NotRunning, NotReady, RootlessError.
    """
    sources.require_running(state)
    start = sources.start_of(context, state)
    everything = everything or bool(questions)
    observed = sources.begin(start).result(everything=everything)
    running = sources.running(start)
    found = joined(observed, running, everything=everything)
    if probe:
        # Imported here: this loads asyncio, which takes 17 ms.
        from k3s_rootless.operations.ports import probing

        found = probing.probed(found)
    if not questions:
        return answers.of_all(found, addresses())
    return _answered(found, questions, observed, context.uid)


def joined(observed: Sources, running: Running, *, everything: bool = False) -> PortMap:
    """Join the sources, and add the owners of conflicting sockets."""
    conflicting_sockets = exposure.conflicting_sockets(observed, running)
    identified = sources.with_owners(observed, conflicting_sockets, running)
    return exposure.join(identified, running, everything=everything)


def addresses() -> Observed[tuple[Address, ...]]:
    """List the addresses of this host."""
    try:
        return Known(interfaces.addresses(), "the interfaces of this host")
    except RootlessError as error:
        return Unknown(error.message)


def _answered(found: PortMap, questions: Sequence[Question], observed: Sources, uid: int) -> Answer:
    about = {question: explanation.find(found.rows, question) for question in questions}
    answers.refuse_unknown(found, about)
    here = addresses()
    known: tuple[Address, ...] = ()
    if isinstance(here, Known):
        known = here.value
    explanations = []
    for question, rows in about.items():
        if rows:
            explanations.append(explanation.of_rows(question, rows, known))
        else:
            owner = _owner(question, observed, uid)
            explanations.append(explanation.of_nothing(question, owner))
    return answers.of_questions(found, here, about, tuple(explanations))


def _owner(question: Question, observed: Sources, uid: int) -> str:
    """Describe the processes that listen on the port of a question; empty if there are none."""
    if isinstance(observed.listeners, Unknown):
        return ""
    there = [one for one in observed.listeners.value if one.port == question.number]
    owners = sources.owners(there, uid).values()
    return ", ".join(reasons.described(one, uid) for one in owners)
