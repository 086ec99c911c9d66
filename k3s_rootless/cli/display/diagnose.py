"""Show an answer of `diagnose` as text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.diagnose.answer import (
    FAILED,
    FINE,
    STOPPING,
    UNKNOWN,
    WAITING,
    WHERE_TO_ASK,
)
from k3s_rootless.operations.diagnose.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.journal.facts import Cause, Ending
    from k3s_rootless.operations.diagnose.answer import Answer

_LABEL = 11
"""Columns before the text of a line."""
_LONGEST = 200
_EXITED = 1
"""si_code of wait(2)."""


def show(report: Report, answer: Answer) -> None:
    """Show the answer."""
    if report.json_for is not None:
        report.document(document(answer))
        return
    for line in lines(answer):
        report.answer(line, hang=_LABEL)


def lines(answer: Answer) -> Iterator[str]:
    """Yield the lines of the text."""
    ending = answer.ending
    if ending is not None and ending.stopping:
        yield _stopping(ending)
    if answer.cause is not None:
        yield from _cause(answer.cause)
        yield from _next_start(answer, answer.cause)
    else:
        yield from _without_cause(answer)
    if answer.unfinished is not None:
        yield f"unfinished {answer.unfinished.problem}"
        for does, command in answer.unfinished.commands:
            yield f"           {does}: {command}"
    for other in answer.others:
        yield f"also       {other.title} ({other.id})"
        yield f"           {_stamp(other)}{other.line[:_LONGEST]}"
    yield from _warnings(answer)
    if ending is not None and answer.code in {FAILED, WAITING}:
        yield f"unit       {_unit(ending)}"


def _warnings(answer: Answer) -> Iterator[str]:
    for one in answer.warnings:
        yield f"check      {one.title}: {one.observed} ({one.check})"
        yield f"           {one.reason}"
        if one.remedy is not None:
            yield f"           {one.remedy.label}: {one.remedy.text}"
            yield from (f"             $ {command}" for command in one.remedy.commands)


def _stopping(ending: Ending) -> str:
    since = ""
    if ending.changed is not None:
        since = f" since {_clock(ending.changed)}"
    return (
        f"stopping   K3s is stopping{since} ({ending.sub_state}): systemd waits for its"
        " processes to exit"
    )


def _without_cause(answer: Answer) -> Iterator[str]:
    if answer.code == STOPPING:
        yield "next       when K3s has stopped, start it with: k3s-rootless up"
    elif answer.code == FINE:
        yield from _fine(answer)
    elif answer.code == WAITING:
        yield (
            "K3s is running but not ready, and the journal does not show why; it waits for"
            f" {answer.missing}"
        )
    else:
        yield "K3s failed, but its journal does not show why"
        yield "next       read the log with: k3s-rootless logs"


def _fine(answer: Answer) -> Iterator[str]:
    if answer.ready:
        yield "no problem found: K3s is ready"
    else:
        yield f"no problem found in {answer.source}"
    if answer.earlier is not None:
        yield from _earlier(answer.earlier)


def _earlier(cause: Cause) -> Iterator[str]:
    yield f"earlier    the previous start failed: {cause.title} ({cause.id})"
    yield from _evidence(cause)


def _evidence(cause: Cause) -> Iterator[str]:
    if cause.line:
        yield f"evidence   {_stamp(cause)}{cause.line}"
    for frame in cause.frames:
        yield f"frame      {frame}"


def _next_start(answer: Answer, cause: Cause) -> Iterator[str]:
    """Yield the line about the start after an earlier failure.

    There is no such line for a failure of the current start.
    """
    if not cause.earlier:
        return
    if answer.log.recovered is not None:
        shows = "shows" if answer.log.recovered else "does not show"
        yield f"next start the journal {shows} that the API server became ready"
    elif answer.ending is not None and answer.ending.stopping:
        yield "next start K3s is stopping"
    elif answer.missing:
        yield f"next start K3s is running and waits for {answer.missing}"


def _cause(cause: Cause) -> Iterator[str]:
    if cause.id == UNKNOWN:
        yield "cause      unknown; the first fatal line of K3s is:"
        yield f"           {_stamp(cause)}{cause.line}"
        yield f"next       read the lines before it with: k3s-rootless logs; ask at {WHERE_TO_ASK}"
        return
    yield _title(cause)
    yield from _evidence(cause)
    for observed in cause.seen:
        yield f"observed   {observed}"
    yield f"why        {cause.why}"
    if cause.remedy is not None:
        label = cause.remedy.label
        head = f"{label:<{_LABEL}}" if len(label) < _LABEL else f"{label}: "
        yield f"{head}{cause.remedy.text}"
        for command in cause.remedy.commands:
            yield f"             $ {command}"


def _title(cause: Cause) -> str:
    label = "cause      "
    if cause.earlier:
        label = "earlier    an earlier start failed: "
    if not cause.check:
        return f"{label}{cause.title} ({cause.id})"
    return f"{label}{cause.title} ({cause.id}, check {cause.check})"


def _unit(ending: Ending) -> str:
    text = f"{ending.active_state} ({ending.sub_state})"
    if ending.result != "success":
        text += f", result {ending.result}"
    if ending.code:
        kind = "exit status" if ending.code == _EXITED else "signal"
        text += f", {kind} {ending.status}"
    if ending.restarts:
        text += f", {ending.restarts} restarts"
        if ending.period:
            text += f", one every {ending.period:.1f} s"
    return text


def _stamp(cause: Cause) -> str:
    if cause.time is None:
        return ""
    return f"{_clock(cause.time)}  "


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%b %d %H:%M:%S")
