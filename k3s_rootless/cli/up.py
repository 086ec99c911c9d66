"""`k3s-rootless up`: install and start K3s, and wait until it is ready."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.options import (
    from_option,
    json_option,
    timeout_option,
    wait_for_option,
    wait_option,
)


@click.command("up")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@timeout_option
@wait_option
@wait_for_option
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="ID",
    help="Go on although this check, or group of checks, fails.",
)
@click.option(
    "--force", is_flag=True, help="Replace a unit or drop-in that was edited; a copy is kept."
)
@click.option(
    "--restart", is_flag=True, help="Restart a running K3s without asking if the changes need it."
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
    given: Path | None,
    as_json: bool,
) -> None:
    """Bring K3s up for this user, and wait until it is ready.

    Checks the host, writes the unit for the installed K3s, enables and starts it. A second run
    changes nothing. If a running K3s must restart for the changes, which stops all pods, `up` asks
    first; without a terminal it needs --restart.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import up

    session = Session.begin("up" if as_json else None)
    request = up.Request(
        ignored=ignored,
        force=force,
        restart=restart,
        unit_file=given,
        timeout=timeout if wait else None,
        until=wait_for,
    )
    if dry_run:
        launch.show_plan(session.report, up.plan(session, request))
    else:
        launch.show_up(session.report, up.up(session, request, session.report.confirm))
