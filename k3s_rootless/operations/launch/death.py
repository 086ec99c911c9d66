"""Tells what a start died of, by its journal and by what systemd says of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.diagnose import last_words

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


def death(context: Context, state: UnitState, invocation: str, when: str) -> RootlessError:
    """Give the error for a start that failed just now: the cause that `diagnose` would name.

    `invocation` is empty where nobody saw which start it was.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import ending, evidence, story

    try:
        told = story.settled(context, state, invocation)
    except RootlessError as error:
        from k3s_rootless.journal.facts import Story

        context.notice(error.message)
        told = Story(None)
    cause = verdict.of_story(told, ending.of(state))
    if cause is None:
        how = (
            f"systemd says `{state.result}`"
            if state.result != "success"
            else f"the unit is {state.active_state}"
        )
        return RootlessError(
            f"K3s did not come up: it died {when}, and {how}",
            hint="read what it said: k3s-rootless logs",
        )
    return named("K3s did not come up", evidence.examined(context, cause, state))


def perform(context: Context, manager: UserManager, step: Step) -> None:
    """Do one step of a plan.

    Raises RootlessError, which for a start that systemd refuses names what keeps it.
    """
    from k3s_rootless.errors import SystemdError
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import steps

    starts = isinstance(step, steps.Start | steps.Restart)
    try:
        apply.perform(step, manager)
    except SystemdError as error:
        state = manager.unit(UNIT)
        if not starts:
            raise
        if state.result != "start-limit-hit":
            raise refused(context, state, error) from error
        # The limit is there to end loops of systemd's own; this start was asked for by somebody, as
        # were those before it.
        context.notice(
            f"systemd refuses, since {UNIT} was started too often within a short time: let it"
            " forget that"
        )
        apply.perform(steps.ResetFailed(UNIT, "it was started too often"), manager)
        apply.perform(step, manager)


def refused(context: Context, state: UnitState, error: RootlessError) -> RootlessError:
    """Give the error for a start that systemd did not even try: masked, unreadable, or started too
    often.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import ending, evidence

    end = ending.of(state)
    cause = verdict.of_unit(end) or verdict.of_ending(end)
    return (
        error if cause is None else named(error.message, evidence.examined(context, cause, state))
    )


def named(what: str, cause: Cause) -> RootlessError:
    """Give the error that names a cause, with what was seen of it and its remedy."""
    remedy = cause.remedy
    hint = "read what it said: k3s-rootless logs"
    if remedy is not None:
        hint = "\n".join(
            (
                f"{remedy.mender.value}: {remedy.text}",
                *(f"  $ {command}" for command in remedy.commands),
            )
        )
    check = f" ({cause.check or cause.id})" if cause.id != "unknown" else ""
    shown = "".join(f"\n  {line}" for line in (cause.line, *cause.frames, *cause.seen) if line)
    details = {"cause": cause.id, "check": cause.check or None}
    return RootlessError(f"{what}: {cause.title}{check}{shown}", hint=hint, details=details)


def first_cause(context: Context, invocation: str) -> Cause | None:
    """Look for the cause in the journal of one start; None where it names none, or cannot be
    read.
    """
    try:
        return last_words.heard(context, invocation, ready=False).cause
    except RootlessError as error:
        context.notice(error.message)
        return None
