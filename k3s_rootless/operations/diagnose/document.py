"""The JSON document of `diagnose`; new versions only add keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import error_document
from k3s_rootless.operations.diagnose import causes
from k3s_rootless.operations.diagnose.answer import UNKNOWN, WHERE_TO_ASK, Answer
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause, Ending, StartLog
    from k3s_rootless.operations.context import Context


def read(context: Context) -> dict[str, Any]:
    """Diagnose the last start, even if K3s was stopped since then, and return the document.

    Raises RootlessError.
    """
    return document(causes.of_unit(context, None, stopped_too=True))


def of_log(log: StartLog) -> dict[str, Any]:
    """Return the document for log lines without systemd; whether K3s is ready is not known."""
    return {**document(Answer(log.cause, log, None, "the journal")), "ready": None}


def document(answer: Answer) -> dict[str, Any]:
    """Return the document."""
    return {
        "ready": answer.ready,
        "source": answer.source,
        "cause": _cause(answer.cause),
        "earlier": _cause(answer.earlier),
        "next_start_ready": answer.log.recovered,
        "contributing": [_cause(one) for one in answer.others],
        "warnings": [one.document() for one in answer.warnings],
        "ask": _ask(answer.cause),
        "missing": answer.missing or None,
        "unfinished": _unfinished(answer),
        "invocation": answer.log.invocation,
        "lines_read": answer.log.lines,
        "unit": _unit(answer.ending),
        "errors": _errors(answer),
    }


def _unfinished(answer: Answer) -> dict[str, Any] | None:
    if answer.unfinished is None:
        return None
    return answer.unfinished.document()


def _errors(answer: Answer) -> list[dict[str, Any]]:
    if not answer.code:
        return []
    hint = None
    if answer.cause is not None and answer.cause.remedy is not None:
        hint = answer.cause.remedy.text
    return [error_document(answer.problem, hint, answer.code)]


def _ask(cause: Cause | None) -> str | None:
    if cause is None or cause.id != UNKNOWN:
        return None
    return WHERE_TO_ASK


def _unit(ending: Ending | None) -> dict[str, Any] | None:
    if ending is None:
        return None
    return {
        "load_state": ending.load_state,
        "active_state": ending.active_state,
        "sub_state": ending.sub_state,
        "result": ending.result,
        "exit_code": ending.code or None,
        "exit_status": ending.status if ending.code else None,
        "restarts": ending.restarts,
        "seconds_between_restarts": ending.period and round(ending.period, 3),
        "changed": json_time(ending.changed),
        "needs_reload": ending.needs_reload,
        "drop_ins": list(ending.drop_ins),
    }


def _cause(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {
        "id": cause.id,
        "check": cause.check or None,
        "title": cause.title,
        "fatal": cause.fatal,
        "line": cause.line or None,
        "time": json_time(cause.time),
        "earlier": cause.earlier,
        "frames": list(cause.frames),
        "seen": list(cause.seen),
        "why": cause.why or None,
        "remedy": cause.remedy.document() if cause.remedy else None,
        "documentation": _documentation(cause),
    }


def _documentation(cause: Cause) -> str | None:
    if cause.id == UNKNOWN:
        return None
    return f"docs/reference/failures.md#{cause.id}"
