"""What `up` says before it acts: its plan, and whether a running K3s may restart for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.session import Session
    from k3s_rootless.service.plan.outage import Outage
    from k3s_rootless.service.plan.steps import Step


def require_consent(session: Session, stops: Outage | None) -> None:
    """Ask whether K3s may restart.

    Raises UsageError without a terminal, RootlessError if the answer is no.
    """
    if stops is None:
        return
    told = stops.describe()
    answer = session.report.confirm(f"{told}. Restart K3s now?")
    if answer is None:
        raise UsageError(
            f"cannot apply the changes: {told}",
            hint="repeat the command with --restart: k3s-rootless up --restart",
            details={"restart": stops.document()},
        )
    if not answer:
        raise RootlessError("nothing was changed: K3s keeps running")


def show(session: Session, steps: Sequence[Step], stops: Outage | None) -> None:
    """Print the steps, and what they stop."""
    for number, step in enumerate(steps, 1):
        session.report.answer(f"{number}. {step.describe()}: {step.cause}")
    if not steps:
        session.report.answer("nothing to do")
    if stops is not None:
        session.report.answer(f"{stops.describe()}; `up` asks first, or needs --restart")
    restart = stops.document() if stops else None
    session.report.document(
        {"dry_run": True, "steps": documents(steps), "restart": restart, "errors": []}
    )


def documents(steps: Sequence[Step]) -> list[dict[str, str]]:
    """Return the steps as JSON has them."""
    return [
        {"step": type(step).__name__, "does": step.describe(), "cause": step.cause}
        for step in steps
    ]
