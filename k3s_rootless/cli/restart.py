"""`k3s-rootless restart`: restart K3s with its current configuration."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import (
    grace_option,
    json_option,
    timeout_option,
    wait_for_option,
    wait_option,
)


@click.command(
    "restart",
    cls=Command,
    exit_codes={
        0: "K3s is ready, or has reached the phase of --wait-for",
        1: "K3s failed to start",
        3: "K3s is not installed",
        4: "K3s is running, but was not ready in time",
    },
)
@timeout_option
@wait_option
@wait_for_option
@grace_option
@json_option
def command(
    *, timeout: float, wait: bool, wait_for: str, grace: float | None, as_json: bool
) -> None:
    """Restart K3s, and wait until it is ready.

    This stops all pods, and applies changes of `config` and `env`.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations import restart

    session = begin("restart", as_json=as_json)
    seconds = timeout if wait else None
    started = restart.restart(session, seconds, wait_for, grace=grace)
    launch.show_restart(session.report, started)
