"""`k3s-rootless version`: show the versions of k3s-rootless, K3s and systemd."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option


@click.command("version", cls=Command)
@json_option
def command(*, as_json: bool) -> None:
    """Show the versions of k3s-rootless, K3s and systemd."""
    from k3s_rootless.cli.display import version
    from k3s_rootless.operations import versions

    session = begin("version", as_json=as_json)
    version.show(session.report, versions.read(session))
