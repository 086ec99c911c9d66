"""Show the state of the encryption of Secrets, and its changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.encryption import change, status
from k3s_rootless.operations.encryption.record import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.encryption.change import Changed
    from k3s_rootless.operations.encryption.status import Shown

_DONE = {
    Goal.ENABLE: "Secrets are encrypted",
    Goal.DISABLE: "Secrets are not encrypted",
    Goal.ROTATE: "all Secrets are encrypted with the new key",
}


def show(report: Report, shown: Shown) -> None:
    """Print the state."""
    for line in _lines(shown):
        report.answer(line)
    report.document(status.document(shown))


def show_changed(report: Report, changed: Changed) -> None:
    """Print what a change would do, or did."""
    if not changed.plan.steps:
        report.answer(f"nothing to do: {_DONE[changed.plan.change.goal]}")
    elif changed.state is None:
        for number, line in enumerate(changed.plan.steps, 1):
            report.answer(f"{number}. {line}")
    else:
        report.answer(_DONE[changed.plan.change.goal])
    report.document(change.document(changed))


def _lines(shown: Shown) -> Iterator[str]:
    state = shown.state
    if state.enabled is None:
        yield "Secrets are not encrypted: K3s has no keys"
        if shown.flag:
            yield "the next start of K3s encrypts new Secrets"
    else:
        yield _DONE[Goal.ENABLE if state.enabled else Goal.DISABLE]
        yield f"stage       {state.stage_name}"
    if state.active is not None:
        yield f"active key  {state.active.kind} {state.active.name}"
    for key in state.inactive:
        yield f"other key   {key.kind} {key.name}"
    if state.problem:
        yield f"problem     {state.problem}"
    if shown.finish:
        yield f"a change is not finished; continue it with: {shown.finish}"
