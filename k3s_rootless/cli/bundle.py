"""`k3s-rootless bundle`: a support archive with secrets removed."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option


@click.command(
    "bundle",
    cls=Command,
    exit_codes={
        0: "the archive is written, even if parts of it are missing",
        1: "the archive cannot be written",
        7: "the file exists; use --force to replace it",
    },
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write to this file, or to a new file in this directory.",
)
@click.option(
    "--list", "listing", is_flag=True, help="List the content without writing the archive."
)
@click.option(
    "--anonymous",
    is_flag=True,
    help="Replace the user name, and the names and addresses of this host.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
def command(
    *, output: Path | None, listing: bool, anonymous: bool, force: bool, as_json: bool
) -> None:
    """Create a support archive with secrets removed.

    Contains checks, status, ports, logs, unit, settings and the diagnosis. Tokens, keys,
    certificates and passwords are removed. Open index.html of the archive in a browser.

    This works if K3s is stopped, and without a user manager. Parts that cannot be read are listed
    with the reason. Review the archive before you share it.
    """
    from k3s_rootless.cli.display import bundle
    from k3s_rootless.operations.bundle import create

    session = begin("bundle", as_json=as_json)
    if listing:
        created = create.preview(session, anonymous=anonymous)
    else:
        created = create.create(session, output, anonymous=anonymous, force=force)
    bundle.show(session.report, created)
