"""`k3s-rootless linger`: keep K3s running after logout (lingering)."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option


@click.command(
    "linger",
    cls=Command,
    exit_codes={
        0: "lingering was changed, or `status`: lingering is on",
        1: "`status`: lingering is off",
        6: "only an administrator can change lingering on this host",
    },
)
@click.argument("switch", type=click.Choice(["on", "off", "status"]), default="status")
@json_option
def command(*, switch: str, as_json: bool) -> None:
    """Keep K3s running after logout (lingering).

    With `on`, systemd starts your user manager at boot and keeps it running after logout, and K3s
    with it. `off` reverts this. `status`, the default, shows whether lingering is on.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations import linger

    session = begin("linger", as_json=as_json)
    if switch == "status":
        lingers = linger.lingers(session)
        launch.show_lingering(session.report, lingers=lingers)
        click.get_current_context().exit(0 if lingers else 1)
    lingers = linger.switch(session, on=switch == "on")
    launch.show_lingering(session.report, lingers=lingers)
