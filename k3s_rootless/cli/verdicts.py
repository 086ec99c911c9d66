"""Tells an answer of `diagnose`: as text, as JSON, and as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Cause, Ending, Story

_MOST_NOTES = 5
_LABEL = 11
"""Columns before what a line of text says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: the cause, all that the lines told, how the unit ended (None for a file), and where it was read."""

    cause: Cause | None
    story: Story
    ending: Ending | None
    source: str
    ready: bool = False
    missing: str = ""

    @property
    def others(self) -> tuple[Cause, ...]:
        """What else was wrong; notes count only where something is."""
        notes = self.story.notes[:_MOST_NOTES] if self.cause or not self.ready else ()
        told = (*self.story.others, *notes)
        return tuple(one for one in told if self.cause is None or one.id != self.cause.id)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.cause is not None:
            return 1
        if self.ready or self.ending is None:
            return 0
        return 4 if self.ending.active_state == "active" else 1


def tell(session: Session, answer: Answer, *, asked: str) -> int:
    """Give the answer, and its exit code; `asked` is where to ask about what nobody knows."""
    for line in _text(answer, asked):
        session.report.answer(line, hang=_LABEL)
    session.report.document(document(answer, asked))
    return answer.code


def _text(answer: Answer, asked: str) -> Iterator[str]:
    cause, ending = answer.cause, answer.ending
    if cause is not None:
        yield from _cause(cause, asked)
    elif answer.code == 0:
        yield "nothing is wrong: K3s is ready" if answer.ready else f"nothing is wrong in {answer.source}"
    elif answer.code == 4:
        yield f"K3s runs and is not ready, and nothing in the journal says why; it waits for {answer.missing}"
    else:
        yield "K3s failed, and its journal does not say why"
        yield "next       read what it said: k3s-rootless logs"
    for other in answer.others:
        yield f"also       {other.title} ({other.id})"
        yield f"           {_stamp(other)}{other.line[:200]}"
    if ending is not None and answer.code in {1, 4}:
        yield f"unit       {_unit(ending)}"


def _cause(cause: Cause, asked: str) -> Iterator[str]:
    if cause.id == "unknown":
        yield "I do not know this one; the first line that K3s died with is:"
        yield f"           {_stamp(cause)}{cause.line}"
        yield f"next       read what came before it: k3s-rootless logs; ask at {asked}"
        return
    check = f", check {cause.check}" if cause.check else ""
    yield f"cause      {cause.title} ({cause.id}{check})"
    if cause.line:
        yield f"evidence   {_stamp(cause)}{cause.line}"
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
    return f"{cause.time.astimezone().strftime('%b %d %H:%M:%S')}  " if cause.time else ""


def document(answer: Answer, asked: str) -> dict[str, Any]:
    """Give the answer as JSON has it."""
    ending, cause = answer.ending, answer.cause
    errors = []
    if answer.code:
        message = cause.title if cause else answer.missing or "K3s failed, and its journal does not say why"
        errors = [{"message": message, "hint": cause.remedy.text if cause and cause.remedy else None, "exit_code": answer.code}]
    return {
        "ready": answer.ready,
        "source": answer.source,
        "cause": cause and _cause_document(cause),
        "contributing": [_cause_document(one) for one in answer.others],
        "ask": asked if cause and cause.id == "unknown" else None,
        "missing": answer.missing or None,
        "invocation": answer.story.invocation,
        "lines_read": answer.story.lines,
        "unit": ending
        and {
            "load_state": ending.load_state,
            "active_state": ending.active_state,
            "sub_state": ending.sub_state,
            "result": ending.result,
            "exit_code": ending.code or None,
            "exit_status": ending.status if ending.code else None,
            "restarts": ending.restarts,
            "seconds_between_restarts": ending.period and round(ending.period, 3),
            "needs_reload": ending.needs_reload,
            "drop_ins": list(ending.drop_ins),
        },
        "errors": errors,
    }


def _cause_document(cause: Cause) -> dict[str, Any]:
    remedy = cause.remedy
    return {
        "id": cause.id,
        "check": cause.check or None,
        "title": cause.title,
        "fatal": cause.fatal,
        "line": cause.line or None,
        "time": cause.time.isoformat() if cause.time else None,
        "seen": list(cause.seen),
        "why": cause.why or None,
        "remedy": remedy and {"mender": remedy.mender.value, "text": remedy.text, "commands": list(remedy.commands)},
        "documentation": f"docs/reference/failures.md#{cause.id}" if cause.id != "unknown" else None,
    }
