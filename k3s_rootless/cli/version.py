"""`k3s-rootless version`: of the tool, of K3s, and of systemd."""

from __future__ import annotations

import click

from k3s_rootless import __version__
from k3s_rootless.cli.options import json_option


@click.command("version")
@json_option
def command(*, as_json: bool) -> None:
    """Tell the versions of k3s-rootless, K3s and systemd."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import versions

    session = Session.begin("version" if as_json else None)
    found = versions.document(session)
    k3s, path = found["k3s"] or "unknown", found["k3s_path"]
    session.report.answer(f"k3s-rootless {__version__}")
    where = path or "no binary found"
    session.report.answer(f"k3s          {k3s} ({where})", hang=13)
    session.report.answer(
        f"systemd      {found['systemd'] or 'unknown (no user manager answers)'}", hang=13
    )
    session.report.document(found)
