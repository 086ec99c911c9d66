"""`k3s-rootless diagnose`: show why K3s does not start and how to fix it."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option


@click.command(
    "diagnose",
    cls=Command,
    exit_codes={
        0: "no problem was found",
        1: "a cause was found, or the state is unknown",
        3: "K3s is not installed or not running",
        4: "K3s is running, but not ready",
    },
)
@click.option(
    "--since",
    metavar="TIME",
    help="Diagnose the last failed start since TIME: `1 hour ago`, `09:00`, `2026-11-23`.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="Diagnose a journal of another host, saved with journalctl -o export or -o json.",
)
@json_option
def command(*, since: str | None, file: Path | None, as_json: bool) -> None:
    """Show why K3s does not start and how to fix it.

    Reads the log of the last start, the state of the unit, and the host. Changes nothing.
    """
    from k3s_rootless.cli.display import diagnose
    from k3s_rootless.errors import UsageError
    from k3s_rootless.operations.diagnose import causes

    if since and file:
        raise UsageError(
            "--since cannot be used with --file",
            hint="remove --since, or use it when you export the journal with journalctl",
        )
    session = begin("diagnose", as_json=as_json)
    if file:
        answer = causes.of_file(session, file)
    else:
        answer = causes.of_unit(session, since, stopped_too=False)
    diagnose.show(session.report, answer)
    click.get_current_context().exit(answer.code)
