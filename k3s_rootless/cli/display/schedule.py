"""Show the schedule of backups, and changes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.observation import Known
from k3s_rootless.operations.backup import schedule
from k3s_rootless.service.unit.seal import Author

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.backup.schedule import Changed, Schedule

_TIME = "%Y-%m-%d %H:%M UTC"
_LABEL = 13
"""Columns before the text of a line."""


def show(report: Report, found: Schedule) -> None:
    """Show the present schedule."""
    for line in _lines(found):
        report.answer(line, hang=_LABEL)
    report.document(schedule.document(found))


def show_changed(report: Report, changed: Changed) -> None:
    """Show the schedule after a change, or the steps of a dry run."""
    if changed.dry_run:
        for number, step in enumerate(changed.steps, 1):
            report.answer(f"{number}. {step.describe()}: {step.cause}")
    if not changed.steps:
        report.answer("nothing to do")
    if not changed.dry_run:
        for line in _lines(changed.schedule):
            report.answer(line, hang=_LABEL)
    report.document(schedule.changed_document(changed))


def _lines(found: Schedule) -> Iterator[str]:
    if found.age.every is None:
        yield "schedule     none; set one with: k3s-rootless backup schedule daily"
    else:
        yield f"schedule     {found.age.every}{_keep(found)}{_parts(found)}{_inactive(found)}"
    if found.next_run is not None:
        yield f"next run     {found.next_run.strftime(_TIME)}"
    yield from _last(found)
    if found.age.last is not None:
        yield f"last backup  {found.age.last.strftime(_TIME)}"
    if found.age.problem:
        yield f"problem      {found.age.problem}"
    for file in found.files:
        if file.author is not Author.OURS:
            yield f"drift        {file.path} was {file.author.value}"
    if found.age.every is not None:
        yield from _lingering(found)


def _keep(found: Schedule) -> str:
    if found.keep is None:
        return ""
    return f", the last {found.keep} are kept"


def _parts(found: Schedule) -> str:
    if not found.parts:
        return ""
    return f", with {' and '.join(one.removeprefix('--') for one in found.parts)}"


def _inactive(found: Schedule) -> str:
    if found.active:
        return ""
    return "; the timer does not run: set the schedule again"


def _last(found: Schedule) -> Iterator[str]:
    if found.last_run is None:
        return
    result = "unknown since the user manager started"
    if found.run is not None and found.run.begun >= found.last_run.replace(microsecond=0):
        result = found.run.outcome.value
    elif found.result:
        result = found.result
    yield f"last run     {found.last_run.strftime(_TIME)}, {result}"


def _lingering(found: Schedule) -> Iterator[str]:
    if isinstance(found.lingers, Known) and not found.lingers.value:
        yield (
            "lingering    off: backups are created only while you are logged in, and a missed one"
            " after your next login; to change that: k3s-rootless linger on"
        )
