"""Show the plan and the result of a reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations import reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.reset import Done
    from k3s_rootless.operations.reset_plan import Plan

_NOTHING = "nothing to do: there is no cluster in {}"


def show_plan(report: Report, plan: Plan) -> None:
    """Show what a reset would do."""
    if not plan.changes:
        report.answer(_NOTHING.format(plan.data))
    for number, line in enumerate(_steps(plan), 1):
        report.answer(f"{number}. {line}")
    _show_kept(report, plan)
    report.document(reset.document(plan, None))


def show(report: Report, done: Done) -> None:
    """Show the result of a reset."""
    plan = done.plan
    if plan.running:
        report.answer("the cluster is empty; K3s is ready")
    elif not plan.changes:
        report.answer(_NOTHING.format(plan.data))
    else:
        report.answer("the cluster is empty; start K3s with: k3s-rootless up")
    if done.backup is not None:
        report.answer(f"the earlier cluster is saved in {done.backup}, {_volumes(plan)}")
    _show_kept(report, plan)
    if done.problem:
        report.notice(f"error: {done.problem}")
    report.document(reset.document(plan, done))


def _steps(plan: Plan) -> Iterator[str]:
    if not plan.changes:
        return
    if plan.backup:
        option = " --volumes" if plan.volumes else ""
        yield f"create a backup, {_volumes(plan)}: k3s-rootless backup create{option}"
    if plan.running:
        yield "stop K3s and all pods"
    if plan.unfinished:
        yield f"finish an interrupted reset of {plan.data}"
    else:
        yield f"remove from {plan.data}: {', '.join(plan.content.moved)}"
    if plan.running:
        yield "start K3s"


def _volumes(plan: Plan) -> str:
    if plan.volumes:
        return "with its volumes"
    return "which has no volumes"


def _show_kept(report: Report, plan: Plan) -> None:
    for name, why in plan.content.kept:
        report.notice(f"kept: {plan.data / name}: {why}; remove its content yourself")
