"""Show what an upgrade or a rollback will do, and its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from k3s_rootless.operations.backup.transaction import Outcome
from k3s_rootless.operations.upgrade import document

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.upgrade.perform import Upgraded
    from k3s_rootless.operations.upgrade.plan import Plan
    from k3s_rootless.operations.upgrade.resume import Resumed
    from k3s_rootless.operations.upgrade.rollback import Loss, RolledBack
    from k3s_rootless.operations.upgrade.rollback import Plan as RollbackPlan

_MOST_RESOURCES = 8


def announce(report: Report, planned: Plan) -> None:
    """Print what an upgrade will do, before anything changes."""
    for line in _lines(planned):
        report.notice(line)


def show_plan(report: Report, planned: Plan) -> None:
    """Print what an upgrade would do."""
    for line in _lines(planned):
        report.answer(line)
    report.document(document.of_plan(planned))


def show_upgraded(report: Report, upgraded: Upgraded) -> None:
    """Print the result of an upgrade."""
    planned = upgraded.plan
    if not upgraded.changed:
        report.answer(f"nothing to do: {planned.reason}")
    else:
        report.answer(f"K3s {planned.after} is ready{_downtime(upgraded.downtime)}")
    if upgraded.backup is not None:
        report.answer(
            f"to go back to {planned.now.text} with its backup ({upgraded.backup}), run:"
            " k3s-rootless rollback"
        )
    report.document(document.of_upgrade(upgraded))


def show_resumed(report: Report, resumed: Resumed) -> None:
    """Print how an interrupted upgrade or rollback has ended."""
    record = resumed.ended.record
    if record.switch is not None:
        if resumed.ended.outcome is Outcome.FINISHED:
            report.answer(f"K3s {record.switch.after} is ready{_downtime(resumed.downtime)}")
        elif resumed.ended.outcome is Outcome.UNDONE:
            report.answer(f"K3s {record.switch.before} is in use again")
        else:
            report.answer(f"nothing had changed: K3s {record.switch.before} is in use")
    report.document(document.of_resumed(resumed))


def announce_rollback(report: Report, planned: RollbackPlan) -> None:
    """Print what a rollback will do, before anything changes."""
    for line in _rollback_lines(planned):
        report.notice(line)


def show_rollback_plan(report: Report, planned: RollbackPlan) -> None:
    """Print what a rollback would do."""
    for line in _rollback_lines(planned):
        report.answer(line)
    report.document(document.of_rollback_plan(planned))


def show_rolled_back(report: Report, done: RolledBack) -> None:
    """Print the result of a rollback."""
    report.answer(f"K3s {done.plan.after} is ready{_downtime(done.downtime)}")
    report.document(document.of_rollback(done))


def _lines(planned: Plan) -> Iterator[str]:
    if planned.switch is None:
        yield f"nothing to do: {planned.reason}"
        return
    yield f"upgrade K3s from {planned.now.text} to {planned.after}"
    for change in planned.changes:
        yield f"{change.subject}: {change.text}"
    yield _outage(planned.downtime)
    if planned.backup:
        yield "a backup is created first; `k3s-rootless rollback` goes back to it"
    else:
        yield "no backup is created (--no-backup), so there is no way back"


def _outage(downtime: float | None) -> str:
    if downtime is None:
        return "all pods stop; the expected downtime is not known"
    return (
        f"all pods stop; expected downtime: at least {_seconds(downtime)}, as for the last upgrade"
        " or start, and the time to download new images"
    )


def _rollback_lines(planned: RollbackPlan) -> Iterator[str]:
    yield f"roll back K3s from {planned.now.text} to {planned.after}"
    yield f"with the backup {planned.backup.path}"
    yield _loss(planned.loss)
    yield "all pods stop, and the configuration of K3s becomes that of the backup"


def _loss(loss: Loss) -> str:
    since = f"{loss.since:%Y-%m-%d %H:%M:%S} UTC"
    if loss.revisions == 0:
        return f"nothing was written to the cluster since {since}"
    line = f"everything that was written to the cluster since {since} is lost"
    shown = list(loss.objects.items())[:_MOST_RESOURCES]
    if shown:
        line += f": objects that were created or changed: {_listed(shown)}"
    left = len(loss.objects) - len(shown)
    if left > 0:
        line += f", and {left} other resources"
    return line


def _listed(objects: list[tuple[str, int]]) -> str:
    return ", ".join(f"{resource} ({count})" for resource, count in objects)


def _downtime(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"; downtime: {_seconds(seconds)}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"
