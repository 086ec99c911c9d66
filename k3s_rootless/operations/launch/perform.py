"""Perform the steps of a plan in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import SystemdError
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.plan.steps import ResetFailed, Restart, Start

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


def perform(context: Context, manager: UserManager, steps: Iterable[Step]) -> None:
    """Perform the steps in order.

    Raises RootlessError; if systemd refuses a start, the error contains the cause.
    """
    for one in steps:
        step(context, manager, one)


def step(context: Context, manager: UserManager, one: Step) -> None:
    """Perform one step. Raises RootlessError, like `perform`."""
    context.listener(StepBegins(one.describe(), one.cause))
    try:
        apply.perform(one, manager)
    except SystemdError as error:
        if not starts([one]):
            raise
        _start_again(context, manager, one, error)


def starts(steps: Iterable[Step]) -> bool:
    """Return whether one of the steps starts K3s."""
    return any(isinstance(one, Start | Restart) for one in steps)


def _start_again(context: Context, manager: UserManager, one: Step, error: SystemdError) -> None:
    """Repeat a start that systemd refused because of its start limit; else raise the cause."""
    state = manager.unit(UNIT)
    if state.result != "start-limit-hit":
        # Imported here: loading takes 80 ms, which a successful start does not need.
        from k3s_rootless.operations.launch import death

        raise death.refused(context, state, error) from error
    # The limit is for loops of systemd's own restarts, but a user requested these starts.
    context.notice(
        f"resetting the start limit of {UNIT}: systemd refused the start, because K3s was started"
        " too often within a short time"
    )
    apply.perform(ResetFailed(UNIT, "it was started too often"), manager)
    apply.perform(one, manager)
