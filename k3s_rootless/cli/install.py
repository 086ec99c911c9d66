"""`k3s-rootless install`: install the unit without starting K3s."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import from_option, json_option


@click.command("install", cls=Command)
@from_option
@click.option(
    "--force", is_flag=True, help="Replace a unit or drop-in that was edited; a copy is kept."
)
@click.option(
    "--enable/--no-enable",
    default=True,
    show_default=True,
    help="Let K3s start at login or boot, or only when it is started.",
)
@json_option
def command(*, given: Path | None, force: bool, enable: bool, as_json: bool) -> None:
    """Install and enable the unit without starting K3s.

    This is the unit that the installed K3s release ships, adapted to this host. `up` includes this
    step.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations import install

    session = begin("install", as_json=as_json)
    installed = install.install(session, force=force, unit_file=given, enable=enable)
    launch.show_install(session.report, installed)
