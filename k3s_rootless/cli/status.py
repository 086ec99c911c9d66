"""`k3s-rootless status`: what runs, how far it is, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.service.facts import UnitState

_BESIDE_OTHERS = 4.0


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

    session = Session.of("status" if as_json else None)
    try:
        if watch:
            from k3s_rootless.cli import status_watch

            status_watch.run(session)
            return
        code = _tell(session)
    finally:
        # What hangs in a thread that nobody waits for leaves no journalctl behind.
        programs.end_all()
    click.get_current_context().exit(code)


def _tell(session: Session) -> int:
    from k3s_rootless.cli.status_look import Look

    seen = Look(session).take()
    if session.report.json_for is None:
        from k3s_rootless.cli import status_text

        for line in status_text.lines(seen):
            session.report.answer(line, hang=status_text.LABEL)
    else:
        from k3s_rootless.cli import status_document

        session.report.document(status_document.document(seen))
    if seen.problem is not None:
        session.report.problem(seen.problem.message, seen.problem.hint)
    return seen.code


def document(session: Session) -> dict[str, Any]:
    """Give the answer as JSON has it; says nothing.

    Raises NotRunning where K3s is not installed, RootlessError.
    """
    from k3s_rootless.cli import status_document
    from k3s_rootless.cli.status_look import Look

    # Beside all else that a bundle asks, everybody answers later.
    return status_document.document(Look(session, seconds=_BESIDE_OTHERS).take())


def unit_version(fragment: Path | None) -> Version | None:
    """Give the release that the unit was written for, by its own words; None for a unit that does
    not say.
    """
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.k3s import version
    from k3s_rootless.service.observe import files
    from k3s_rootless.service.unit import text as unit

    try:
        text = files.read(fragment).text if fragment else None
    except RootlessError:
        return None
    return version.parse(unit.written_for(text) or "") if text else None


def absence(state: UnitState) -> NotRunning:
    """Give the error for a unit that there is none of."""
    from k3s_rootless.errors import NotRunning

    if state.load_state == "masked":
        return NotRunning(
            f"`{state.name}` is masked, so nothing can start it",
            hint=f"systemctl --user unmask {state.name}",
        )
    return NotRunning(
        "K3s is not installed for this user", hint="install and start it with: k3s-rootless up"
    )
