"""`k3s-rootless check`: can this user run K3s here, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.session import Session
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
    from k3s_rootless.cli import host
    from k3s_rootless.cli.session import Session

    session = Session.of("check" if as_json else None)
    session.require_ordinary_user()
    host.require_known((*ids, *ignored))
    findings = host.findings(session, ids)
    if admin_script:
        from k3s_rootless.cli import admin_script as printed

        printed.give(session, host.heeded(findings, ignored), undo=undo)
        return
    error = problem(findings, ignored)
    session.report.findings(findings)
    session.report.document(answered(findings, ignored, error, complete=not ids))
    session.report.answer(_last_line(findings, ignored, error, complete=not ids))
    if error is not None:
        click.get_current_context().exit(error.exit_code)


def document(session: Session) -> dict[str, Any]:
    """Give the answer as JSON has it, of all checks; says nothing."""
    from k3s_rootless.cli import host

    findings = host.findings(session)
    return answered(findings, (), problem(findings, ()))


def problem(findings: Sequence[Finding], ignored: Sequence[str]) -> RootlessError | None:
    """Give the error that the answer amounts to; None where this host is ready."""
    from k3s_rootless.cli import host
    from k3s_rootless.errors import RootlessError

    if failed := host.failures(findings, ignored):
        return host.refusal(failed)
    if unseen := host.unseen(findings, ignored):
        names = ", ".join(one.check for one in unseen)
        return RootlessError(
            f"could not look at {names}",
            hint="see the reasons above; what you know to be well, leave out with --ignore",
        )
    return None


def _last_line(
    findings: Sequence[Finding],
    ignored: Sequence[str],
    error: RootlessError | None,
    *,
    complete: bool,
) -> str:
    from k3s_rootless.cli import host
    from k3s_rootless.finding import Verdict, matches

    if error is not None:
        return f"\nnot ready: {error.message}\nnext: {error.hint}"
    warned = sum(one.verdict is Verdict.WARN for one in host.heeded(findings, ignored))
    less = f", with {warned} warning{'s' if warned > 1 else ''} (see above)" if warned else ""
    overlooked = [one.check for one in (*host.failures(findings), *host.unseen(findings))]
    if overlooked:
        less += f", apart from what you ignored: {', '.join(overlooked)}"
    if not complete:
        return f"\npassed{less}; the other checks were not run\nnext: k3s-rootless check"
    options = [
        f" --ignore {name}" for name in ignored if any(matches(one, name) for one in overlooked)
    ]
    return f"\nready{less}\nnext: k3s-rootless up{''.join(options)}"


def answered(
    findings: Sequence[Finding],
    ignored: Sequence[str],
    error: RootlessError | None,
    *,
    complete: bool = True,
) -> dict[str, Any]:
    """Return the answer as JSON has it; `complete` says that all checks were run."""
    from k3s_rootless.cli.report import finding_document

    errors = (
        [{"message": error.message, "hint": error.hint, "exit_code": error.exit_code}]
        if error
        else []
    )
    return {
        "ready": error is None,
        "complete": complete,
        "ignored": list(ignored),
        "checks": list(map(finding_document, findings)),
        "errors": errors,
    }
