"""`k3s-rootless rollback`: go back to the release before an upgrade."""

from __future__ import annotations

from functools import partial

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import (
    dry_run_option,
    json_option,
    mirror_option,
    progress_option,
    yes_option,
)


@click.command(
    "rollback",
    cls=Command,
    exit_codes={
        0: "K3s is ready with the earlier release and its backup",
        1: "there is no backup of that release, or K3s did not get ready and the later release is"
        " in use again",
        2: "no such release, or no terminal to ask for confirmation and no --yes",
        3: "K3s is not installed",
        7: "the unit or a drop-in was edited",
    },
)
@click.argument("version", required=False)
@dry_run_option
@yes_option
@mirror_option
@progress_option
@json_option
def command(
    *,
    version: str | None,
    dry_run: bool,
    yes: bool,
    mirror: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Go back to the release before an upgrade.

    Without VERSION, goes back to the release before the last upgrade. The datastore becomes that of
    the last backup of this release: everything that was written since is lost, and shown before you
    confirm. All pods stop.

    If the earlier release does not get ready, the later one is started again with its datastore.
    """
    from k3s_rootless.cli.display import upgrade as display
    from k3s_rootless.operations.upgrade import rollback

    session = begin("rollback", as_json=as_json)
    request = rollback.Request(timeout, version, mirror, yes=yes)
    if dry_run:
        display.show_rollback_plan(session.report, rollback.dry_run(session, request))
        return
    show = partial(display.announce_rollback, session.report)
    done = rollback.rollback(session, request, session.report.confirm, show)
    display.show_rolled_back(session.report, done)
