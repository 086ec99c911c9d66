"""`k3s-rootless status`: what runs, how far it is, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command("status")
@click.option("--watch", is_flag=True, help="Go on, and show what changes, until interrupted.")
@json_option
def command(*, watch: bool, as_json: bool) -> None:
    """Tell whether K3s runs and is ready.

    Each part has a time limit of its own: what could not be looked at is told as unknown, and is
    not taken for ready.

    Exit codes: 0 ready, 1 failed or unknown, 3 not installed or not running, 4 running and not
    ready.
    """
    from k3s_rootless import command as programs
    from k3s_rootless.cli.session import Session

    session = Session.begin("status" if as_json else None)
    try:
        if watch:
            from k3s_rootless.cli.display import status_watch

            status_watch.run(session)
            return
        code = _tell(session)
    finally:
        # What hangs in a thread that nobody waits for leaves no journalctl behind.
        programs.end_all()
    click.get_current_context().exit(code)


def _tell(session: Session) -> int:
    from k3s_rootless.operations.status.look import Look

    seen = Look(session).take()
    if session.report.json_for is None:
        from k3s_rootless.cli.display import status

        for line in status.lines(seen):
            session.report.answer(line, hang=status.LABEL)
    else:
        from k3s_rootless.operations.status import document as status_document

        session.report.document(status_document.document(seen))
    if seen.problem is not None:
        session.report.problem(seen.problem.message, seen.problem.hint)
    return seen.code
