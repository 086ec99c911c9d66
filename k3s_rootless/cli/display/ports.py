"""Show the answer of `ports` as text: a table with notes, URLs, or explanations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from k3s_rootless.operations.ports import document

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.ports.answer import Answer
    from k3s_rootless.operations.ports.plan import Plan
    from k3s_rootless.ports.facts import Exposure
    from k3s_rootless.ports.rules.advice import Advice
    from k3s_rootless.ports.rules.explanation import Explanation

_HEAD = ("HOST", "CHILD PORT", "OFFSET", "PROTOCOL", "TARGET", "NAME", "STATUS", "URL")
_SPARE = ("CHILD PORT", "NAME", "PROTOCOL", "OFFSET")
"""In narrow tables, TARGET and URL contain the same facts, and a note explains the offset."""
_PLANNED = ("HOST PORT", "OFFSET", "PROTOCOL", "SERVICE", "NAME", "STATUS", "URL")
_PLANNED_STATUS = {"forwarded": "free"}
_WIDTH = 18


def show(report: Report, answer: Answer, *, urls: bool = False) -> None:
    """Show the answer: JSON if requested, else URLs, explanations or the table."""
    for notice in answer.notices:
        report.notice(notice)
    if urls:
        _urls(report, answer)
    elif answer.explanations:
        for one in answer.explanations:
            _explanation(report, one)
    elif report.json_for is None:
        _table(report, answer)
    if report.json_for is not None:
        report.document(document.document(answer))


def show_plan(report: Report, plan: Plan) -> None:
    """Show a plan: JSON if requested, else a table and the reasons below it."""
    if not plan.rows:
        report.notice(f"found no Service with a port in {plan.objects} objects")
    rows = map(_planned, plan.rows)
    report.table(_PLANNED, rows, spare=("NAME", "PROTOCOL", "OFFSET"), prose="SERVICE")
    for row in plan.rows:
        if row.reason:
            report.answer(f"  {row.target}: {row.reason}")
    _lines(report, plan.notes)
    for notice in plan.notices:
        report.notice(notice)
    report.document(document.of_plan(plan))


def cells(row: Exposure) -> tuple[str, ...]:
    """Return the columns of a row; the last one is for the probe."""
    return (
        _host_port(row),
        str(row.child_port),
        _offset(row),
        row.proto,
        row.target or "unknown",
        row.port_name,
        row.status.value.replace("-", " "),
        url(row),
        _probe(row),
    )


def url(row: Exposure) -> str:
    """Return the URL of a row; empty if no program is reachable there."""
    if not row.is_reachable:
        return ""
    return row.url


def _host_port(row: Exposure) -> str:
    if not row.forwarded and row.is_never_forwarded:
        return "-"
    if not row.forwarded:
        return f"({row.parent_port})"
    if ":" in row.parent_ip:
        return f"[{row.parent_ip}]:{row.parent_port}"
    return f"{row.parent_ip or '*'}:{row.parent_port}"


def _offset(row: Exposure) -> str:
    if not row.offset:
        return ""
    return f"+{row.offset}"


def _probe(row: Exposure) -> str:
    if row.probe is None:
        return ""
    if row.probe.milliseconds is None:
        return row.probe.result
    return f"{row.probe.result} {row.probe.milliseconds:g} ms"


def _planned(row: Exposure) -> tuple[str, ...]:
    _, _, offset, proto, target, name, status, link, _ = cells(row)
    if row.is_never_forwarded:
        return ("-", "", proto, target, name, status, "")
    return (
        str(row.parent_port),
        offset,
        proto,
        target,
        name,
        _PLANNED_STATUS.get(status, status),
        link,
    )


def _urls(report: Report, answer: Answer) -> None:
    if answer.starting:
        report.notice("K3s is starting; no port is forwarded yet")
    for row in answer.rows:
        if row.is_reachable:
            report.verbatim(row.url)


def _table(report: Report, answer: Answer) -> None:
    head: tuple[str, ...] = _HEAD
    if any(row.probe for row in answer.rows):
        head = (*_HEAD, "PROBE")
    rows = (cells(row)[: len(head)] for row in answer.rows)
    report.table(head, rows, spare=_SPARE, prose="TARGET")
    for remark in answer.remarks:
        report.answer(f"  {remark}")
    if answer.notes:
        report.answer()
    _lines(report, answer.notes)
    if answer.advice is not None:
        _lines(report, answer.warning)
        _advice(report, answer.advice)


def _explanation(report: Report, explanation: Explanation) -> None:
    for paragraph in explanation.paragraphs:
        for heading, sentence in paragraph:
            if heading:
                report.answer(f"  {heading:<{_WIDTH}}{sentence}", hang=2 + _WIDTH)
            else:
                report.answer(sentence)
        report.answer()
    if explanation.privileged:
        report.answer(f"To use port {explanation.question.number} itself:\n")
    for one in explanation.privileged:
        _advice(report, one)


def _advice(report: Report, one: Advice) -> None:
    report.answer(one.text)
    for command in one.commands:
        report.answer(f"  $ {command}")
    if one.undo:
        report.answer(f"  undo: {one.undo}")
    report.answer()


def _lines(report: Report, lines: Iterable[str]) -> None:
    for line in lines:
        report.answer(line)
