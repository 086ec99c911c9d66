"""The errors for a start that failed, with the cause that `diagnose` would show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import loops, verdict
from k3s_rootless.journal.facts import StartLog
from k3s_rootless.operations.diagnose import ending, evidence, history, start_log

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.readiness import wait
    from k3s_rootless.service.facts import UnitState

_HINT = "read the log with: k3s-rootless logs"


def while_waiting(
    context: Context, died: wait.Died, first: UnitState, restarts: int
) -> RootlessError:
    """Return the error for a start that failed during the wait for it.

    `first` is the unit when the wait began; `restarts` is the number of restarts by systemd before
    the wait.
    """
    state, when = died.state, f"while waiting for `{died.phase.name}`"
    if state.result == "success" and not state.failed and state.restarts <= restarts:
        return _stopped(when)
    # If there was a restart before the first check, `first` is not the start that failed.
    observed = first.restarts <= restarts or first.invocation != state.invocation
    error = _of_start(context, state, first.invocation if observed else "", when)
    loop = history.loop(context, state)
    if loop is not None:
        error.message += f"\n  restart loop: {loops.describe(loop)}"
        restarts_document = {
            "count": loop.count,
            "period": loop.period,
            "last": loop.last.isoformat(),
        }
        error.details = {**error.details, "restarts": restarts_document}
    return error


def _stopped(when: str) -> RootlessError:
    """Return the error for a stop or restart that was requested from systemd: K3s did not fail."""
    return RootlessError(
        f"K3s failed to start: its unit was stopped or restarted {when}",
        hint="start K3s again with: k3s-rootless up",
        details={"cause": "stopped", "check": None},
    )


def _of_start(context: Context, state: UnitState, invocation: str, when: str) -> RootlessError:
    """Return the error for a start that just failed.

    `invocation` is empty if it is not known which start failed.
    """
    try:
        log = history.settled(context, state, invocation)
    except RootlessError as error:
        context.notice(error.message)
        log = StartLog(None)
    cause = evidence.cause_of(context, log, state, ending.of(state))
    if cause is not None:
        return _named("K3s failed to start", cause)
    if log.stopped and state.result == "exit-code":
        # K3s can end with an exit status after SIGTERM (v1.21.2 always), which systemd reports as a
        # failure.
        return _stopped(when)
    how = f"systemd reports the result `{state.result}`"
    if state.result == "success":
        how = f"the unit is {state.active_state}"
    return RootlessError(f"K3s failed to start: it exited {when}, and {how}", hint=_HINT)


def after_ready(context: Context, state: UnitState) -> RootlessError | None:
    """Return the error for a K3s that ended after it was ready; None if a stop was requested."""
    try:
        log = history.settled(context, state, state.invocation)
    except RootlessError as error:
        context.notice(error.message)
        log = StartLog(None)
    if log.stopped:
        return None
    cause = evidence.cause_of(context, log, state, ending.of(state))
    if cause is not None:
        return _named("K3s exited", cause)
    return RootlessError(f"K3s exited, and systemd reports the result `{state.result}`", hint=_HINT)


def refused(context: Context, state: UnitState, error: RootlessError) -> RootlessError:
    """Return the error for a start that systemd refused.

    The unit is masked or unreadable, or was started too often.
    """
    end = ending.of(state)
    cause = verdict.of_unit(end) or verdict.of_ending(end)
    if cause is None:
        return error
    return _named(error.message, evidence.with_evidence(context, cause, state))


def stuck(context: Context, cause: Cause, state: UnitState) -> RootlessError:
    """Return the error for a running K3s that retries without end because of this cause."""
    found = evidence.with_evidence(context, cause, state)
    return _named("K3s is running, but cannot become ready", found)


def first_cause(context: Context, invocation: str) -> Cause | None:
    """Return the cause in the journal of one start; None if there is none, or on a read error."""
    try:
        return start_log.read(context, invocation, ready=False).cause
    except RootlessError as error:
        context.notice(error.message)
        return None


def _named(what: str, cause: Cause) -> RootlessError:
    """Return the error for a cause, with its evidence and its remedy."""
    remedy = cause.remedy
    hint = _HINT
    if remedy is not None:
        commands = [f"  $ {command}" for command in remedy.commands]
        hint = "\n".join([f"{remedy.label}: {remedy.text}", *commands])
    check = f" ({cause.check or cause.id})" if cause.id != "unknown" else ""
    evidence_lines = "".join(
        f"\n  {line}" for line in (cause.line, *cause.frames, *cause.seen) if line
    )
    details = {"cause": cause.id, "check": cause.check or None}
    return RootlessError(
        f"{what}: {cause.title}{check}{evidence_lines}", hint=hint, details=details
    )
