"""`k3s-rootless df`: show what occupies the disk, and how to free it."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option


@click.command("df", cls=Command)
@json_option
def command(*, as_json: bool) -> None:
    """Show what occupies the disk and how to free space.

    Counts K3s's data, the releases and the backups of this user, and shows for each part the
    command that frees its space. Nothing is removed.

    Files of containers can belong to subordinate ids, and their directories cannot always be read.
    Such a part is unknown: its size is the least that it can have.
    """
    from k3s_rootless.cli.display import disk_usage as display
    from k3s_rootless.operations import disk_usage

    session = begin("df", as_json=as_json)
    display.show(session.report, disk_usage.read(session))
