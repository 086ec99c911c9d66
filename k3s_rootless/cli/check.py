"""`k3s-rootless check`: can this user run K3s here, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.errors import RootlessError
    from k3s_rootless.finding import Finding


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
        raise click.UsageError("--undo belongs to --admin-script")
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.check import document, selection

    session = Session.begin("check" if as_json else None)
    session.require_ordinary_user()
    selection.require_known((*ids, *ignored))
    findings = selection.findings(session, ids)
    if admin_script:
        from k3s_rootless.cli import admin_script as printed

        printed.give(session, selection.heeded(findings, ignored), undo=undo)
        return
    error = document.problem(findings, ignored)
    session.report.findings(findings)
    session.report.document(document.answered(findings, ignored, error, complete=not ids))
    session.report.answer(_last_line(findings, ignored, error, complete=not ids))
    if error is not None:
        click.get_current_context().exit(error.exit_code)


def _last_line(
    findings: Sequence[Finding],
    ignored: Sequence[str],
    error: RootlessError | None,
    *,
    complete: bool,
) -> str:
    from k3s_rootless.finding import Verdict, matches
    from k3s_rootless.operations.check import selection

    if error is not None:
        return f"\nnot ready: {error.message}\nnext: {error.hint}"
    warned = sum(one.verdict is Verdict.WARN for one in selection.heeded(findings, ignored))
    less = f", with {warned} warning{'s' if warned > 1 else ''} (see above)" if warned else ""
    overlooked = [one.check for one in (*selection.failures(findings), *selection.unseen(findings))]
    if overlooked:
        less += f", apart from what you ignored: {', '.join(overlooked)}"
    if not complete:
        return f"\npassed{less}; the other checks were not run\nnext: k3s-rootless check"
    options = [
        f" --ignore {name}" for name in ignored if any(matches(one, name) for one in overlooked)
    ]
    return f"\nready{less}\nnext: k3s-rootless up{''.join(options)}"
