"""`k3s-rootless uninstall`: remove all files of k3s-rootless, and K3s's data with `--purge`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from k3s_rootless import byte_size
from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.uninstall import Uninstalled


@click.command(
    "uninstall",
    cls=Command,
    exit_codes={
        0: "everything is removed",
        1: "something could not be removed, or the removal was not confirmed",
        7: "the unit is not from k3s-rootless",
    },
)
@click.option(
    "--purge",
    is_flag=True,
    help="Also remove the K3s data directory (the cluster and its volumes), and the releases.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="The data directory for --purge, if the unit no longer names it.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation of --purge.")
@click.option("--force", is_flag=True, help="Also remove files that were edited; a copy is kept.")
@json_option
def command(*, purge: bool, data_dir: Path | None, yes: bool, force: bool, as_json: bool) -> None:
    """Stop K3s and remove the files of k3s-rootless.

    Disables and removes the unit, and removes the drop-ins of k3s-rootless. Files that were edited
    are kept. The data of K3s and the downloaded releases are kept unless --purge is given. Backups
    are always kept.
    """
    from k3s_rootless.operations import uninstall

    session = begin("uninstall", as_json=as_json)
    if data_dir is not None and not purge:
        raise UsageError("cannot use --data-dir without --purge: only --purge removes data")
    request = uninstall.Request(force=force, purge=purge, data_dir=data_dir, yes=yes)
    done = uninstall.uninstall(session, request, session.report.confirm)
    _show(session, done)
    session.report.document(uninstall.document(done))
    click.get_current_context().exit(1 if done.problems else 0)


def _show(session: Session, done: Uninstalled) -> None:
    from k3s_rootless.cli.display import kubeconfig

    report = session.report
    for directory in done.data:
        named = "" if directory == session.paths.data else f" --data-dir {directory}"
        report.answer(
            f"K3s's data is kept in {directory}; remove it with: k3s-rootless uninstall"
            f" --purge{named}"
        )
    if done.releases is not None and not done.releases_removed:
        report.answer(
            f"releases of K3s are kept in {done.releases.directory}; remove them with:"
            " k3s-rootless uninstall --purge"
        )
    kubeconfig.show_removed_with_k3s(report, done.kubeconfigs)
    if not done.problems:
        report.answer(_summary(done))
    if done.backups is not None:
        remove = f"rm -r {quote(str(done.backups))}"
        report.answer(f"backups are kept in {done.backups}; remove them with: {remove}")
    for path in done.kept:
        report.answer(f"kept: {path}")
    for problem in done.problems:
        report.notice(f"error: {problem}")
    if done.problems:
        report.notice("\nhint: fix the errors above, then run: k3s-rootless uninstall")


def _summary(done: Uninstalled) -> str:
    releases = ""
    if done.releases is not None and done.releases_removed:
        releases = f"; {byte_size.text(done.releases.size)} of releases are removed"
    if done.purged:
        files = f"{done.removed} files and directories"
        return f"K3s is uninstalled, and its data is removed ({files}){releases}"
    if releases:
        return f"K3s is uninstalled{releases}"
    if done.changed:
        return "K3s is uninstalled"
    return "nothing to do: K3s is not installed for this user"
