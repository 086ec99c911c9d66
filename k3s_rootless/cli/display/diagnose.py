"""Tells an answer of `diagnose`: as text, as JSON, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Cause, Ending
    from k3s_rootless.operations.diagnose.document import Answer

_LABEL = 11
"""Columns before what a line of text says."""


def tell(session: Session, answer: Answer, *, asked: str) -> int:
    """Give the answer, and its exit code; `asked` is where to ask about what nobody knows."""
    for line in _text(answer, asked):
        session.report.answer(line, hang=_LABEL)
    from k3s_rootless.operations.diagnose.document import document

    session.report.document(document(answer, asked))
    return answer.code


def _text(answer: Answer, asked: str) -> Iterator[str]:
    cause, ending = answer.cause, answer.ending
    if ending is not None and ending.stopping:
        since = f" since {_clock(ending.changed)}" if ending.changed else ""
        yield (
            f"stopping   K3s is stopping{since} ({ending.sub_state}): systemd waits until its"
            " processes have ended"
        )
    if cause is not None:
        yield from _cause(cause, asked)
        yield from _after(answer, cause)
    elif answer.code == 3:
        yield "next       start it when it has stopped: k3s-rootless up"
    elif answer.code == 0:
        yield (
            "nothing is wrong: K3s is ready"
            if answer.ready
            else f"nothing is wrong in {answer.source}"
        )
        if answer.earlier is not None:
            yield from _past(answer.earlier)
    elif answer.code == 4:
        yield (
            "K3s runs and is not ready, and nothing in the journal says why; it waits for"
            f" {answer.missing}"
        )
    else:
        yield "K3s failed, and its journal does not say why"
        yield "next       read what it said: k3s-rootless logs"
    for other in answer.others:
        yield f"also       {other.title} ({other.id})"
        yield f"           {_stamp(other)}{other.line[:200]}"
    if ending is not None and answer.code in {1, 4}:
        yield f"unit       {_unit(ending)}"


def _past(cause: Cause) -> Iterator[str]:
    yield f"earlier    the start before this one failed: {cause.title} ({cause.id})"
    if cause.line:
        yield f"evidence   {_stamp(cause)}{cause.line}"
    yield from (f"frame      {frame}" for frame in cause.frames)


def _after(answer: Answer, cause: Cause) -> Iterator[str]:
    """Return the line about the start that followed an earlier failure; nothing for a failure of
    the present start.
    """
    if not cause.earlier:
        return
    if answer.story.recovered is not None:
        shows = "shows" if answer.story.recovered else "does not show"
        yield (
            f"next start the journal {shows} that the API server of the start after this one"
            " came up"
        )
    elif answer.ending is not None and answer.ending.stopping:
        yield "next start it is stopping"
    elif answer.missing:
        yield f"next start it is running, and waits for {answer.missing}"


def _cause(cause: Cause, asked: str) -> Iterator[str]:
    if cause.id == "unknown":
        yield "I do not know this one; the first line that K3s died with is:"
        yield f"           {_stamp(cause)}{cause.line}"
        yield f"next       read what came before it: k3s-rootless logs; ask at {asked}"
        return
    check = f", check {cause.check}" if cause.check else ""
    label = "earlier    an earlier start failed: " if cause.earlier else "cause      "
    yield f"{label}{cause.title} ({cause.id}{check})"
    if cause.line:
        yield f"evidence   {_stamp(cause)}{cause.line}"
    yield from (f"frame      {frame}" for frame in cause.frames)
    for seen in cause.seen:
        yield f"seen       {seen}"
    yield f"why        {cause.why}"
    if cause.remedy is not None:
        yield f"remedy     {cause.remedy.mender.value}: {cause.remedy.text}"
        for command in cause.remedy.commands:
            yield f"             $ {command}"


def _unit(ending: Ending) -> str:
    words = f"{ending.active_state} ({ending.sub_state})"
    if ending.result != "success":
        words += f", result {ending.result}"
    if ending.code:
        words += f", {'exit status' if ending.code == 1 else 'signal'} {ending.status}"
    if ending.restarts:
        every = f", one every {ending.period:.1f} s" if ending.period else ""
        words += f", {ending.restarts} restarts{every}"
    return words


def _stamp(cause: Cause) -> str:
    return f"{_clock(cause.time)}  " if cause.time else ""


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%b %d %H:%M:%S")
