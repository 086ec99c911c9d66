"""`k3s-rootless linger`: keep K3s running after logout (lingering)."""

from __future__ import annotations

import click

from k3s_rootless.cli.options import json_option


@click.command("linger")
@click.argument("switch", type=click.Choice(["on", "off", "status"]), default="status")
@json_option
def command(*, switch: str, as_json: bool) -> None:
    """Let K3s outlive your last session, or not; `status` tells.

    Exit codes: 0 done, or it lingers; 1 it does not; 6 only an administrator can switch it here.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import linger

    session = Session.begin("linger" if as_json else None)
    if switch == "status":
        lingers = linger.lingers(session)
        launch.show_lingering(session.report, lingers=lingers)
        click.get_current_context().exit(0 if lingers else 1)
    lingers = linger.switch(session, on=switch == "on")
    launch.show_lingering(session.report, lingers=lingers)
