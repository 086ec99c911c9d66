"""`k3s-rootless status`: show whether K3s runs and is ready, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command(
    "status",
    cls=Command,
    exit_codes={
        0: "K3s is ready",
        1: "K3s failed, or the state is unknown",
        3: "K3s is not installed or not running",
        4: "K3s is running, but not ready",
    },
)
@click.option("--watch", is_flag=True, help="Show changes until interrupted.")
@json_option
def command(*, watch: bool, as_json: bool) -> None:
    """Show whether K3s is running and ready.

    Each query has its own time limit. A row that cannot be read is shown as unknown, with the
    reason; K3s then does not count as ready.
    """
    from k3s_rootless import command as programs

    session = begin("status", as_json=as_json)
    try:
        if watch:
            _watch(session)
            return
        code = _show(session)
    finally:
        # A query that hangs in a thread must leave no journalctl running.
        programs.end_all()
    click.get_current_context().exit(code)


def _show(session: Session) -> int:
    from k3s_rootless.operations.status.reader import Reader

    report = session.report
    snapshot = Reader(session).read()
    if report.json_for is not None:
        from k3s_rootless.operations.status.document import document

        report.document(document(snapshot))
    else:
        from k3s_rootless.cli.display import status

        for line in status.lines(snapshot):
            report.answer(line, hang=status.LABEL)
    if snapshot.problem is not None:
        report.problem(snapshot.problem.message, snapshot.problem.hint)
    return snapshot.code


def _watch(session: Session) -> None:
    import gc

    from k3s_rootless.cli.display import status_watch
    from k3s_rootless.operations.status import watch

    # All modules are loaded, and this command may run for days. Garbage is now collected at
    # Python's default thresholds.
    gc.freeze()
    gc.set_threshold(700, 10, 10)
    status_watch.show(session.report, watch.snapshots(session, session.report.reader_left))
