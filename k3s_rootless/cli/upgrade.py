"""`k3s-rootless upgrade`: upgrade K3s to another release."""

from __future__ import annotations

from functools import partial

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Option
from k3s_rootless.cli.options import (
    dry_run_option,
    json_option,
    mirror_option,
    progress_option,
    yes_option,
)
from k3s_rootless.errors import UsageError

_INTERRUPTED = "After an interruption"


@click.command(
    "upgrade",
    cls=Command,
    exit_codes={
        0: "K3s is ready with the release, or nothing has to change; for --abort: the earlier"
        " release is in use again",
        1: "the upgrade is not possible, or the release did not get ready and the earlier one is"
        " in use again",
        2: "no such release, or no terminal to ask for confirmation and no --yes",
        3: "K3s is not installed",
        5: "there is too little space, or no way back",
        7: "the unit or a drop-in was edited",
        8: "rootless K3s cannot start with this release",
    },
)
@click.argument("wanted", metavar="[VERSION | CHANNEL]", required=False)
@dry_run_option
@yes_option
@click.option(
    "--no-backup",
    is_flag=True,
    help="Upgrade without a backup: there is no way back then.",
)
@mirror_option
@progress_option
@click.option(
    "--continue",
    "resume",
    cls=Option,
    group=_INTERRUPTED,
    is_flag=True,
    help="Finish an upgrade or a rollback that was interrupted; `up` does the same.",
)
@click.option(
    "--abort",
    cls=Option,
    group=_INTERRUPTED,
    is_flag=True,
    help="Undo an upgrade or a rollback that was interrupted.",
)
@json_option
def command(  # noqa: PLR0913 (one for each option)
    *,
    wanted: str | None,
    dry_run: bool,
    yes: bool,
    no_backup: bool,
    mirror: str | None,
    timeout: float,
    resume: bool,
    abort: bool,
    as_json: bool,
) -> None:
    """Upgrade K3s to another release.

    The default is the release of the channel `stable`. Other channels are `latest` and minor
    releases such as `v1.36`; a release is named like `v1.36.3+k3s1`.

    Downloads and verifies the release while K3s runs, creates a backup, stops K3s, starts it with
    the new release, and waits until the node is ready and reports this release. All pods stop.

    If the new release exits or makes no progress, the earlier one is started again with its
    datastore. A minor version cannot be skipped. To go back later, use `rollback`.
    """
    from k3s_rootless.cli.display import upgrade as display
    from k3s_rootless.operations.upgrade import perform, plan
    from k3s_rootless.operations.upgrade import resume as resuming

    session = begin("upgrade", as_json=as_json)
    if resume or abort:
        if wanted is not None or dry_run or (resume and abort):
            raise UsageError("cannot upgrade: use --continue or --abort alone")
        done = resuming.resume(session, timeout, undo=abort)
        display.show_resumed(session.report, done)
        return
    request = plan.Request(timeout, wanted, mirror, backup=not no_backup, yes=yes)
    if dry_run:
        display.show_plan(session.report, perform.dry_run(session, request))
        return
    show = partial(display.announce, session.report)
    upgraded = perform.upgrade(session, request, session.report.confirm, show)
    display.show_upgraded(session.report, upgraded)
