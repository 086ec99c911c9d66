"""`k3s-rootless diagnose`: why it does not work, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.cli.verdicts import Answer
    from k3s_rootless.journal.facts import Story
    from k3s_rootless.service.facts import UnitState

_WHERE_TO_ASK = "https://github.com/k3s-io/k3s/issues"


@click.command("diagnose")
@click.option(
    "--since",
    metavar="TIME",
    help="Judge the last start since then that failed: `1 hour ago`, `09:00`, `2026-11-23`.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="Read a journal of another machine: -o export or -o json.",
)
@json_option
def command(*, since: str | None, file: Path | None, as_json: bool) -> None:
    """Tell why K3s does not come up, and what mends it.

    Exit codes: 0 nothing is wrong, 1 a cause was found, 3 not installed or not running, 4 running
    and not ready.
    """
    from k3s_rootless.cli import verdicts
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import UsageError

    if since and file:
        raise UsageError(
            "cannot narrow a file by time",
            hint="leave --since out, or narrow it when it is exported",
        )
    session = Session.of("diagnose" if as_json else None)
    answer = _of_file(session, file) if file else _of_unit(session, since, stopped_too=False)
    click.get_current_context().exit(verdicts.tell(session, answer, asked=_WHERE_TO_ASK))


def document(session: Session) -> dict[str, Any]:
    """Give the answer as `--json` has it, also about the last start of a K3s that was stopped
    since. Raises RootlessError.
    """
    from k3s_rootless.cli import verdicts

    return verdicts.document(_of_unit(session, None, stopped_too=True), _WHERE_TO_ASK)


def document_of(story: Story) -> dict[str, Any]:
    """Give what the lines of a start tell, where nobody could ask systemd; so whether K3s is ready
    is not known.
    """
    from k3s_rootless.cli import verdicts

    return {
        **verdicts.document(
            verdicts.Answer(story.cause, story, None, "the journal"), _WHERE_TO_ASK
        ),
        "ready": None,
    }


def _of_file(session: Session, file: Path) -> Answer:
    from k3s_rootless.cli import verdicts
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.sources.exported import Exported

    exported = Exported(file)
    story = diagnosis.last_start(exported)
    if exported.skipped:
        session.report.story(
            f"{exported.skipped} lines of {file} are no entries of a journal, and were left out"
        )
    where = f"{file} ({story.lines} lines of the last start in it)"
    return verdicts.Answer(story.cause, story, None, where)


def _of_unit(session: Session, since: str | None, *, stopped_too: bool) -> Answer:
    from k3s_rootless.cli import ending, evidence, follow, verdicts
    from k3s_rootless.cli.start import Start
    from k3s_rootless.cli.status import unit_version
    from k3s_rootless.journal import verdict
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.readiness import first_missing

    with session.manager() as manager:
        state = manager.unit(UNIT)
    broken = verdict.of_unit(ending.of(state))
    if broken is None:
        _require_unit(state, started=bool(since) or stopped_too)
    missing = (
        first_missing(Start.of(session, state, unit_version(state.fragment)).phases())
        if state.running
        else None
    )
    ready = state.running and missing is None
    end = ending.of(state, follow.period(session) if state.restarts > 1 else None)
    by_status = None if ready else verdict.of_ending(end)
    story = _story(session, state, since, ready=ready, needed=not (ready or broken or by_status))
    cause = broken or verdict.of_story(story, end)
    if cause is not None and broken is None:
        cause = evidence.examined(session, cause, state)
    if cause is None and stopped_too:
        _require_unit(state, started=False)
    waits = f"{missing[0].name}: {missing[1]}" if missing else ""
    earlier = follow.earlier(session, state) if ready and not since else None
    return verdicts.Answer(
        cause, story, end, "the journal", ready=ready, missing=waits, earlier=earlier
    )


def _story(
    session: Session, state: UnitState, since: str | None, *, ready: bool, needed: bool
) -> Story:
    from k3s_rootless.cli import follow
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Story
    from k3s_rootless.journal.sources import journald

    try:
        told = follow.story(session, state, since, ready=ready, settle=True)
    except RootlessError as error:
        if needed or since:
            raise
        # What systemd says is an answer without the journal, too.
        session.report.story(f"{error.message}: this is what systemd says alone")
        return Story(None)
    if needed and not told.lines and (state.dead or journald.hidden()):
        session.report.story(_silence(session))
    return told


def _silence(session: Session) -> str:
    from k3s_rootless.journal.sources import journald

    if journald.invocations(session.uid):
        # journald tells how many it dropped in lines of its own, which users as a rule may not read
        # (systemd 247 to 262).
        return (
            "the journal has no line of this start yet, or dropped them because there were too many"
            " (RateLimitBurst=)"
        )
    return f"this user can read nothing of this start in the journal\n{journald.HINT}"


def _require_unit(state: UnitState, *, started: bool) -> None:
    from k3s_rootless.cli import status
    from k3s_rootless.errors import NotRunning

    if not state.installed:
        raise status.absence(state)
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
