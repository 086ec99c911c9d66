"""`k3s-rootless restart`: restart K3s with its current configuration."""

from __future__ import annotations

import click

from k3s_rootless.cli.options import json_option, timeout_option, wait_for_option, wait_option


@click.command("restart")
@timeout_option
@wait_option
@wait_for_option
@json_option
def command(*, timeout: float, wait: bool, wait_for: str, as_json: bool) -> None:
    """Stop K3s and start it, and wait until it is ready."""
    from k3s_rootless.cli.display import launch
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import restart

    session = Session.begin("restart" if as_json else None)
    started = restart.restart(session, timeout if wait else None, wait_for)
    launch.show_restart(session.report, started)
