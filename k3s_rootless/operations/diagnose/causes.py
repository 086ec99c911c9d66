"""Why K3s does not come up: the journal, systemd and the host asked together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Story
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.diagnose.document import Answer
    from k3s_rootless.service.facts import UnitState


WHERE_TO_ASK = "https://github.com/k3s-io/k3s/issues"


def document(context: Context) -> dict[str, Any]:
    """Give the answer as `--json` has it, also about the last start of a K3s that was stopped
    since. Raises RootlessError.
    """
    from k3s_rootless.operations.diagnose import document as answers

    return answers.document(of_unit(context, None, stopped_too=True), WHERE_TO_ASK)


def document_of(story: Story) -> dict[str, Any]:
    """Give what the lines of a start tell, where nobody could ask systemd; so whether K3s is ready
    is not known.
    """
    from k3s_rootless.operations.diagnose import document as answers

    return {
        **answers.document(answers.Answer(story.cause, story, None, "the journal"), WHERE_TO_ASK),
        "ready": None,
    }


def of_file(context: Context, file: Path) -> Answer:
    """Judge the last start in an exported journal. Raises RootlessError."""
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.sources.exported import Exported
    from k3s_rootless.operations.diagnose import document as answers

    exported = Exported(file)
    story = diagnosis.last_start(exported)
    if exported.skipped:
        context.notice(
            f"{exported.skipped} lines of {file} are no entries of a journal, and were left out"
        )
    where = f"{file} ({story.lines} lines of the last start in it)"
    return answers.Answer(story.cause, story, None, where)


def of_unit(context: Context, since: str | None, *, stopped_too: bool) -> Answer:
    """Judge the last start, or the last one since then that failed.

    Raises NotRunning where K3s is not installed, or not running and its last start did not fail and
    `stopped_too` is not set; RootlessError.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import document as answers
    from k3s_rootless.operations.diagnose import ending, evidence
    from k3s_rootless.operations.diagnose import story as stories
    from k3s_rootless.operations.readiness.conditions import Start
    from k3s_rootless.operations.readiness.wait import first_missing
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.observe.files import release_of

    with context.manager() as manager:
        state = manager.unit(UNIT)
    broken = verdict.of_unit(ending.of(state))
    if broken is None:
        _require_unit(state, started=bool(since) or stopped_too)
    missing = (
        first_missing(Start.of(context, state, release_of(state.fragment)).phases())
        if state.running
        else None
    )
    ready = state.running and missing is None
    end = ending.of(state, stories.period(context) if state.restarts > 1 else None)
    by_status = None if ready else verdict.of_ending(end)
    story = _story(context, state, since, ready=ready, needed=not (ready or broken or by_status))
    cause = broken or verdict.of_story(story, end)
    if cause is not None and broken is None:
        cause = evidence.examined(context, cause, state)
    if cause is None and stopped_too:
        _require_unit(state, started=False)
    waits = f"{missing[0].name}: {missing[1]}" if missing else ""
    earlier = stories.earlier(context, state) if ready and not since else None
    return answers.Answer(
        cause, story, end, "the journal", ready=ready, missing=waits, earlier=earlier
    )


def _story(
    context: Context, state: UnitState, since: str | None, *, ready: bool, needed: bool
) -> Story:
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Story
    from k3s_rootless.journal.sources import journald
    from k3s_rootless.operations.diagnose import story as stories

    try:
        told = stories.of(context, state, since, ready=ready, settle=True)
    except RootlessError as error:
        if needed or since:
            raise
        # What systemd says is an answer without the journal, too.
        context.notice(f"{error.message}: this is what systemd says alone")
        return Story(None)
    if needed and not told.lines and (state.dead or journald.hidden()):
        context.notice(_silence(context))
    return told


def _silence(context: Context) -> str:
    from k3s_rootless.journal.sources import journald

    if journald.invocations(context.uid):
        # journald tells how many it dropped in lines of its own, which users as a rule may not read
        # (systemd 247 to 262).
        return (
            "the journal has no line of this start yet, or dropped them because there were too many"
            " (RateLimitBurst=)"
        )
    return f"this user can read nothing of this start in the journal\n{journald.HINT}"


def _require_unit(state: UnitState, *, started: bool) -> None:
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.operations import installation

    if not state.installed:
        raise installation.absence(state)
    if (
        not (state.running or state.dead or started)
        and state.active_state == "inactive"
        and state.result == "success"
    ):
        raise NotRunning(
            "K3s is not running, and its last start did not fail",
            hint=(
                "start it with: k3s-rootless up; judge an earlier start with: k3s-rootless diagnose"
                " --since '1 hour ago'"
            ),
        )
