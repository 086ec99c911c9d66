"""`k3s-rootless up`: install and start K3s, and wait until it is ready."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Option
from k3s_rootless.cli.options import (
    dry_run_option,
    from_option,
    json_option,
    timeout_option,
    wait_for_option,
    wait_option,
)
from k3s_rootless.errors import UsageError

_CHANGES = "Change options"


@click.command(
    "up",
    cls=Command,
    exit_codes={
        0: "K3s is ready, or has reached the phase of --wait-for",
        1: "K3s failed to start",
        2: "a restart is required, and neither --restart nor a terminal is available",
        4: "K3s is running, but was not ready in time",
        5: "a check failed, and you can fix the problem",
        6: "a check failed, and an administrator must fix the problem",
        7: "the unit or a drop-in was edited",
        8: "this host cannot run rootless K3s",
    },
)
@dry_run_option
@timeout_option
@wait_option
@wait_for_option
@click.option(
    "--ignore",
    "ignored",
    cls=Option,
    group=_CHANGES,
    multiple=True,
    metavar="ID",
    help="Continue if this check or group of checks fails. Repeatable.",
)
@click.option(
    "--force",
    cls=Option,
    group=_CHANGES,
    is_flag=True,
    help="Replace a unit or drop-in that was edited; a copy is kept.",
)
@click.option(
    "--restart",
    cls=Option,
    group=_CHANGES,
    is_flag=True,
    help="Restart a running K3s without confirmation if the changes require it.",
)
@click.option(
    "--get",
    "wanted",
    is_flag=False,
    flag_value="",
    metavar="[VERSION]",
    help="Download and verify K3s first: this release or channel, or `stable` if there is no k3s.",
)
@from_option
@json_option
def command(  # noqa: PLR0913 (one for each option)
    *,
    dry_run: bool,
    timeout: float,
    wait: bool,
    wait_for: str,
    ignored: tuple[str, ...],
    force: bool,
    restart: bool,
    wanted: str | None,
    given: Path | None,
    as_json: bool,
) -> None:
    """Install and start K3s, and wait until it is ready.

    Checks the host, writes the unit for the installed K3s release, enables and starts the unit. If
    nothing has to change, nothing is done.

    If there is no k3s, `up` offers to download the stable release on a terminal. Without a
    terminal, use --get.

    If a running K3s must be restarted to apply a change, `up` asks for confirmation, because a
    restart stops all pods. Without a terminal, use --restart.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations import up

    session = begin("up", as_json=as_json)
    request = up.Request(
        ignored=ignored,
        force=force,
        restart=restart,
        unit_file=given,
        timeout=timeout if wait else None,
        until=wait_for,
        get=wanted,
        asks=session.report.can_ask,
    )
    if dry_run and wanted is not None:
        raise UsageError(
            "cannot use --get with --dry-run: the plan depends on the release",
            hint="download it first with: k3s-rootless release get",
        )
    if dry_run:
        launch.show_plan(session.report, up.plan(session, request))
    else:
        launch.show_up(session.report, up.up(session, request, session.report.confirm))
