"""The answer of `diagnose`: its record, and how JSON has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import error_document

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause, Ending, Story


_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: the cause, all that the lines told, how the unit ended (None for a file), and
    where it was read.

    `earlier` is the cause that ended the start before the present one, if K3s is ready and that was
    a short time ago.
    """

    cause: Cause | None
    story: Story
    ending: Ending | None
    source: str
    ready: bool = False
    missing: str = ""
    earlier: Cause | None = None

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
        if self.ending.stopping:
            return 3
        return 4 if self.ending.active_state == "active" else 1


def document(answer: Answer, asked: str) -> dict[str, Any]:
    """Give the answer as JSON has it."""
    ending, cause = answer.ending, answer.cause
    errors = []
    if answer.code:
        message = cause.title if cause else _without_cause(answer)
        hint = cause.remedy.text if cause and cause.remedy else None
        errors = [error_document(message, hint, answer.code)]
    return {
        "ready": answer.ready,
        "source": answer.source,
        "cause": cause and _cause_document(cause),
        "earlier": answer.earlier and _cause_document(answer.earlier),
        "next_start_came_up": answer.story.recovered,
        "contributing": [_cause_document(one) for one in answer.others],
        "ask": asked if cause and cause.id == "unknown" else None,
        "missing": answer.missing or None,
        "invocation": answer.story.invocation,
        "lines_read": answer.story.lines,
        "unit": (
            ending
            and {
                "load_state": ending.load_state,
                "active_state": ending.active_state,
                "sub_state": ending.sub_state,
                "result": ending.result,
                "exit_code": ending.code or None,
                "exit_status": ending.status if ending.code else None,
                "restarts": ending.restarts,
                "seconds_between_restarts": ending.period and round(ending.period, 3),
                "changed": ending.changed.isoformat() if ending.changed else None,
                "needs_reload": ending.needs_reload,
                "drop_ins": list(ending.drop_ins),
            }
        ),
        "errors": errors,
    }


def _without_cause(answer: Answer) -> str:
    if answer.code == 3:
        return "K3s is stopping"
    return answer.missing or "K3s failed, and its journal does not say why"


def _cause_document(cause: Cause) -> dict[str, Any]:
    return {
        "id": cause.id,
        "check": cause.check or None,
        "title": cause.title,
        "fatal": cause.fatal,
        "line": cause.line or None,
        "time": cause.time.isoformat() if cause.time else None,
        "earlier": cause.earlier,
        "frames": list(cause.frames),
        "seen": list(cause.seen),
        "why": cause.why or None,
        "remedy": cause.remedy.document() if cause.remedy else None,
        "documentation": (
            f"docs/reference/failures.md#{cause.id}" if cause.id != "unknown" else None
        ),
    }
