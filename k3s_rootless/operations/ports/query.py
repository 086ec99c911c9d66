"""One check of all ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from k3s_rootless import background
from k3s_rootless import command as programs
from k3s_rootless.ports.rules.question import Question

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.ports.answer import Answer
    from k3s_rootless.service.facts import UnitState


def run(
    context: Context, what: Sequence[str] = (), *, everything: bool = False, probe: bool = False
) -> Answer:
    """Read all sources, join them, and return the result for the questions in `what`.

    `what` are texts in the format of `Question.of`; none for all ports. Raises UsageError,
    NotRunning, NotReady, RootlessError.
    """
    questions = tuple(map(Question.of, what))
    state = _state(context)
    # Already imported by `preload`.
    from k3s_rootless.operations.ports import gather

    return gather.answer(context, state, questions, everything=everything, probe=probe)


def document(context: Context) -> dict[str, Any]:
    """Return the JSON document for all ports. Raises NotRunning, RootlessError."""
    answer = run(context)
    # Imported here: `ports` itself loads it in `preload`.
    from k3s_rootless.operations.ports import document as documents

    return documents.document(answer)


def preload() -> None:
    """Import the modules for the result, while systemd answers in another process.

    This takes 40 ms, and the answer of systemd 14 ms, which are saved from a total of 170 ms.
    """
    from k3s_rootless.operations.ports import gather  # noqa: F401 (loaded here, used by `run`)


def _state(context: Context) -> UnitState:
    querying = background.begin(context.k3s_unit)
    try:
        preload()
        return querying.result()
    except KeyboardInterrupt:
        # An interrupt from the terminal does not reach busctl, which has its own process group.
        programs.end_all()
        raise
