"""`k3s-rootless check`: check whether this host can run rootless K3s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command("check")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="ID",
    help="Leave a failed check, or a group of them, out.",
)
@click.option(
    "--admin-script",
    is_flag=True,
    help="Print the script that does what an administrator must do here.",
)
@click.option("--undo", is_flag=True, help="With --admin-script: print the one that takes it back.")
@json_option
def command(
    ids: tuple[str, ...], ignored: tuple[str, ...], *, admin_script: bool, undo: bool, as_json: bool
) -> None:
    """Tell whether this user can run K3s here, and what is missing.

    With IDs, judge only these checks or groups (`cgroup.delegation`). Nothing is changed.
    """
    if undo and not admin_script:
        raise click.UsageError("--undo requires --admin-script")
    from k3s_rootless.cli.session import Session

    session = Session.begin("check" if as_json else None)
    if admin_script:
        _print_script(session, ids, ignored, undo=undo)
        return
    from k3s_rootless.cli.display import findings
    from k3s_rootless.operations.check import checking, document

    checked = checking.check(session, ids, ignored)
    session.report.findings(checked.findings)
    session.report.document(document.document(checked))
    session.report.answer(findings.summary(checked))
    if checked.error is not None:
        click.get_current_context().exit(checked.error.exit_code)


def _print_script(
    session: Session, ids: tuple[str, ...], ignored: tuple[str, ...], *, undo: bool
) -> None:
    """Print only the script on stdout, so that it can be redirected to a file."""
    from k3s_rootless.operations.check import admin_script

    script = admin_script.read(session, ids, ignored, undo=undo)
    for notice in script.notices:
        session.report.story(notice)
    if script.text:
        # Always UTF-8, in any locale, because root runs the script: the same bytes as in the JSON.
        session.report.verbatim(script.text.rstrip("\n").encode())
    session.report.document(script.document())
