"""`k3s-rootless version`: of the tool, of K3s, and of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from k3s_rootless import __version__
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command("version")
@json_option
def command(*, as_json: bool) -> None:
    """Tell the versions of k3s-rootless, K3s and systemd."""
    from k3s_rootless.cli.session import Session

    session = Session.of("version" if as_json else None)
    found = document(session)
    k3s, path = found["k3s"] or "unknown", found["k3s_path"]
    session.report.answer(f"k3s-rootless {__version__}")
    where = path or "no binary found"
    session.report.answer(f"k3s          {k3s} ({where})", hang=13)
    session.report.answer(
        f"systemd      {found['systemd'] or 'unknown (no user manager answers)'}", hang=13
    )
    session.report.document(found)


def document(session: Session) -> dict[str, Any]:
    """Give the answer as JSON has it; says nothing."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.observation import Known
    from k3s_rootless.preflight.probes import host

    binary = host.k3s_binary(session.environ, unit_search(), session.paths.home)
    k3s = binary.version.value.text if isinstance(binary.version, Known) else None
    try:
        with session.manager() as manager:
            systemd = manager.version
    except RootlessError:
        systemd = None
    return {
        "k3s_rootless": __version__,
        "k3s": k3s,
        "k3s_path": binary.path,
        "systemd": systemd,
        "errors": [],
    }
