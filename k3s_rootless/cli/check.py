"""`k3s-rootless check`: check whether this host can run rootless K3s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command(
    "check",
    cls=Command,
    exit_codes={
        0: "the host is ready",
        1: "a fatal check is unknown",
        5: "a check failed, and you can fix the problem",
        6: "a check failed, and an administrator must fix the problem",
        8: "this host cannot run rootless K3s",
    },
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="ID",
    help="Ignore the failures of this check or group of checks. Repeatable.",
)
@click.option(
    "--admin-script",
    is_flag=True,
    help="Print a shell script with the fixes that need root.",
)
@click.option(
    "--undo", is_flag=True, help="With --admin-script: print the script that reverts these fixes."
)
@json_option
def command(
    ids: tuple[str, ...], ignored: tuple[str, ...], *, admin_script: bool, undo: bool, as_json: bool
) -> None:
    """Check whether this host can run rootless K3s.

    Shows each problem and how to fix it, and changes nothing. With IDs, only these checks or groups
    of checks run, for example `cgroup.delegation` or `cgroup`.
    """
    if undo and not admin_script:
        raise click.UsageError("--undo requires --admin-script")
    session = begin("check", as_json=as_json)
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
        session.report.notice(notice)
    if script.text:
        # Always UTF-8, in any locale, because root runs the script: the same bytes as in the JSON.
        session.report.verbatim(script.text.rstrip("\n").encode())
    session.report.document(script.document())
