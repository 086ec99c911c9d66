"""Find why K3s does not start, from systemd, the journal and the host, or from a journal file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.journal import diagnosis, verdict
from k3s_rootless.journal.facts import StartLog
from k3s_rootless.journal.sources import journald
from k3s_rootless.journal.sources.exported import Exported
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.diagnose import ending, evidence, history
from k3s_rootless.operations.diagnose.answer import Answer
from k3s_rootless.operations.readiness import conditions
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.operations.readiness.wait import first_missing
from k3s_rootless.service.observe.files import release_of

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Ending
    from k3s_rootless.operations.backup.unfinished import Unfinished
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_JOURNAL = "the journal"


def of_file(context: Context, file: Path) -> Answer:
    """Diagnose the last start in an exported journal. Raises RootlessError."""
    exported = Exported(file)
    log = diagnosis.last_start(exported)
    if exported.skipped:
        context.notice(f"skipped {exported.skipped} lines of {file} that are not journal entries")
    source = f"{file} ({log.lines} lines of the last start)"
    return Answer(log.cause, log, None, source)


def of_unit(context: Context, since: str | None, *, stopped_too: bool) -> Answer:
    """Diagnose the last start; with `since`, the last failed start since that time.

    Raises NotRunning if K3s is not installed, or if K3s is not running, its last start did not fail
    and `stopped_too` is not set; RootlessError.
    """
    with context.manager() as manager:
        state = context.k3s_unit(manager)
    open_work = _unfinished(context, state)
    broken = verdict.of_unit(ending.of(state))
    if broken is None:
        _require_unit(state, open_work, any_start=stopped_too or bool(since))
    missing = _missing(context, state)
    ready = state.running and not missing
    end = _ending(context, state)
    explained = ready or _explains(end)
    log = _log(context, state, since, ready=ready, needed=not explained)
    cause = broken or evidence.cause_of(context, log, state, end, ready=ready)
    answer = Answer(
        cause, log, end, log.file or _JOURNAL, ready=ready, missing=missing, unfinished=open_work
    )
    if cause is None:
        if stopped_too or (log.stopped and state.active_state == "failed"):
            # K3s can end with an exit status after SIGTERM (v1.21.2 always).
            _require_start(state, open_work, stopped=log.stopped)
        answer = replace(answer, warnings=evidence.warnings(context))
    if ready and not since:
        return replace(answer, earlier=history.earlier(context, state))
    return answer


def _unfinished(context: Context, state: UnitState) -> Unfinished | None:
    try:
        return unfinished.find(context, state)
    except RootlessError as error:
        context.notice(error.message)
        return None


def _missing(context: Context, state: UnitState) -> str:
    """Return what a running K3s waits for; empty if it is ready or does not run."""
    if not state.running:
        return ""
    start = Start.of(context, state, release_of(state.fragment))
    missing = first_missing(conditions.of(start))
    if missing is None:
        return ""
    phase, reason = missing
    return f"{phase.name}: {reason}"


def _ending(context: Context, state: UnitState) -> Ending:
    period = None
    if state.restarts > 1:
        period = history.period(context)
    return ending.of(state, period)


def _explains(end: Ending) -> bool:
    """Return whether systemd alone shows why K3s failed."""
    return verdict.of_unit(end) is not None or verdict.of_ending(end) is not None


def _log(
    context: Context, state: UnitState, since: str | None, *, ready: bool, needed: bool
) -> StartLog:
    try:
        log = history.of(context, state, since, ready=ready, settle=True)
    except RootlessError as error:
        if needed or since:
            raise
        # The report of systemd is a result even without the journal.
        context.notice(f"{error.message}; using only the state that systemd reports")
        return StartLog(None)
    if needed and not log.lines and (state.failed or journald.hidden()):
        context.notice(_silence(context))
    return log


def _silence(context: Context) -> str:
    if not journald.invocations(context.uid):
        return f"this user cannot read any line of this start in the journal\n{journald.HINT}"
    # journald reports the number of dropped lines in its own lines, which users usually cannot read
    # (systemd 247 to 262).
    return (
        "the journal contains no line of this start: journald has not stored the lines yet, or"
        " dropped them because there were too many (RateLimitBurst=)"
    )


def _require_unit(state: UnitState, open_work: Unfinished | None, *, any_start: bool) -> None:
    """Raise an error if the unit is not installed, or has no start to diagnose.

    With `any_start`, the last start may also have ended without a failure.
    """
    if not state.installed:
        raise installation.absence(state)
    if not any_start:
        _require_start(state, open_work)


def _require_start(
    state: UnitState, open_work: Unfinished | None, *, stopped: bool = False
) -> None:
    """Raise NotRunning if no start runs and the last one did not fail.

    `stopped` is whether its journal shows that a stop was requested.
    """
    ended = state.active_state == "inactive" and state.result == "success"
    if ended or (stopped and state.active_state == "failed"):
        raise _stopped(open_work)


def _stopped(open_work: Unfinished | None) -> NotRunning:
    if open_work is not None:
        return NotRunning(
            f"K3s is not running: {open_work.problem}",
            hint="; ".join(f"{does}: {command}" for does, command in open_work.commands),
        )
    return NotRunning(
        "K3s is not running, and its last start did not fail",
        hint=(
            "start K3s with: k3s-rootless up; diagnose an earlier start with: k3s-rootless"
            " diagnose --since '1 hour ago'"
        ),
    )
