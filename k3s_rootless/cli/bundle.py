"""`k3s-rootless bundle`: a support archive with secrets removed."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.options import json_option


@click.command("bundle")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write here; a directory will do.",
)
@click.option("--list", "listing", is_flag=True, help="Show what would go in, and write nothing.")
@click.option(
    "--anonymous",
    is_flag=True,
    help="Replace the names of user and host, and the host's addresses.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(
    *, output: Path | None, listing: bool, anonymous: bool, force: bool, as_json: bool
) -> None:
    """Pack what a helper needs into one archive, without secrets.

    Tokens, keys, certificates and passwords are taken out. Works with K3s down and without a user
    manager: what cannot be read is named. Open index.html of it in a browser.
    """
    from k3s_rootless.cli.display import bundle
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.bundle import create

    session = Session.begin("bundle" if as_json else None)
    if listing:
        created = create.preview(session, anonymous=anonymous)
    else:
        created = create.create(session, output, anonymous=anonymous, force=force)
    bundle.show(session.report, created)
