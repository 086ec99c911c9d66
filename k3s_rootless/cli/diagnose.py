"""`k3s-rootless diagnose`: show why K3s does not start and how to fix it."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.options import json_option


@click.command("diagnose")
@click.option(
    "--since",
    metavar="TIME",
    help="Judge the last start since then that failed: `1 hour ago`, `09:00`, `2026-11-23`.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="Read a journal of another machine: -o export or -o json.",
)
@json_option
def command(*, since: str | None, file: Path | None, as_json: bool) -> None:
    """Tell why K3s does not come up, and what mends it.

    Exit codes: 0 nothing is wrong, 1 a cause was found, 3 not installed or not running, 4 running
    and not ready.
    """
    from k3s_rootless.cli.display import diagnose
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import UsageError
    from k3s_rootless.operations.diagnose import causes

    if since and file:
        raise UsageError(
            "--since cannot be used with --file",
            hint="remove --since, or use it when you export the journal with journalctl",
        )
    session = Session.begin("diagnose" if as_json else None)
    if file:
        answer = causes.of_file(session, file)
    else:
        answer = causes.of_unit(session, since, stopped_too=False)
    diagnose.show(session.report, answer)
    click.get_current_context().exit(answer.code)
