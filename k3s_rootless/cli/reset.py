"""`k3s-rootless reset`: replace the cluster by an empty one."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import dry_run_option, json_option, timeout_option, yes_option


@click.command(
    "reset",
    cls=Command,
    exit_codes={
        0: "the cluster is empty; K3s is ready if it was running before",
        1: "nothing was reset, or some old files could not be removed",
        2: "no terminal to ask for confirmation, and no --yes; or a directory that is not K3s's",
        3: "K3s is not installed",
        4: "the cluster is empty, but K3s was not ready in time",
    },
)
@yes_option
@click.option(
    "--backup/--no-backup", default=True, show_default=True, help="Create a backup first."
)
@dry_run_option
@timeout_option
@json_option
def command(*, yes: bool, backup: bool, dry_run: bool, timeout: float, as_json: bool) -> None:
    """Replace the cluster by an empty one.

    Removes the datastore, volumes and pods, and starts K3s again if it was running. Configuration,
    certificates, tokens, your manifests, images and releases are kept; K3s applies the manifests
    in its data directory again.

    A backup is created first, with the volumes if there are any. --no-backup creates none.
    """
    from k3s_rootless.cli.display import reset as display
    from k3s_rootless.operations import reset
    from k3s_rootless.operations.reset_plan import Request

    session = begin("reset", as_json=as_json)
    request = Request(timeout, backup=backup, yes=yes)
    if dry_run:
        display.show_plan(session.report, reset.plan(session, request))
        return
    done = reset.reset(session, request, session.report.confirm)
    display.show(session.report, done)
    click.get_current_context().exit(1 if done.problem else 0)
