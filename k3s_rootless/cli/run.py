"""`k3s-rootless run`: run K3s in the foreground, in this terminal."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import timeout_option


@click.command(
    "run",
    cls=Command,
    exit_codes={
        0: "K3s was stopped by another command",
        1: "K3s failed to start, failed later, or is already running",
        5: "a check failed, and you can fix the problem",
        6: "a check failed, and an administrator must fix the problem",
        8: "this host cannot run rootless K3s",
        130: "K3s was stopped with Ctrl-C, SIGTERM or SIGHUP",
    },
)
@timeout_option
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="ID",
    help="Continue if this check or group of checks fails. Repeatable.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- SERVER FLAGS ...]")
def command(*, timeout: float, ignored: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Run K3s in this terminal until Ctrl-C.

    Uses the command, the environment and the limits of the unit; SERVER FLAGS are added to the
    command. Nothing is installed: K3s runs in a unit of systemd that disappears at the end. Ctrl-C,
    a closed terminal and a lost connection stop K3s, and so does the end of this command for any
    other reason.

    The lines of K3s are printed to stderr. If K3s is not ready in time, this is reported, and K3s
    keeps running.
    """
    from k3s_rootless.cli.display import launch
    from k3s_rootless.operations.foreground import run

    session = begin("run", as_json=False)
    session.report.draws = False
    request = run.Request(arguments, ignored, timeout)
    run.run(session, request, lambda started: launch.show_foreground(session.report, started))
