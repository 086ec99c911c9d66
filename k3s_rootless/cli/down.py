"""`k3s-rootless down`: stop K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import grace_option, json_option


@click.command("down", cls=Command)
@click.option(
    "--disable",
    is_flag=True,
    help="Also disable the unit, so that K3s does not start at login or boot.",
)
@grace_option
@json_option
def command(*, disable: bool, grace: float | None, as_json: bool) -> None:
    """Stop K3s.

    This stops all Pods: K3s kills them at once, unless --grace is given. The unit and the data of
    K3s are kept.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations import stop

    session = begin("down", as_json=as_json)
    launch.show_stop(session.report, stop.stop(session, disable=disable, grace=grace))
