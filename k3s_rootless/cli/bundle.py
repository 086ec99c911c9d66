"""`k3s-rootless bundle`: what a helper needs to see, in one file that can be handed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.bundle.gather import Bundle


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
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.bundle import gather
    from k3s_rootless.support import archive

    session = Session.begin("bundle" if as_json else None)
    target = _target(output)
    if target is not None and not listing:
        archive.require_free(target, force=force)
    bundle = gather.gather(session, anonymous=anonymous)
    path = None
    if listing:
        _show(session, bundle)
    else:
        path = target or (output or Path()) / f"{bundle.folder}.tar.gz"
        data = archive.packed(bundle.items, bundle.folder, bundle.made)
        archive.write(path, data, force=force)
        taken = bundle.about["redacted_total"]
        session.report.answer(f"wrote {path} ({len(data) // 1024} KiB; {taken} secrets taken out)")
    _tell_missing(session, bundle)
    if path is not None:
        session.report.story(
            "look at it before you hand it over: it is yours to judge what may be told"
        )
    session.report.document(_document(bundle, path))


def _target(output: Path | None) -> Path | None:
    # None where the name is only known when the bundle is made: it has the time in it.
    return None if output is None or output.is_dir() else output


def _show(session: Session, bundle: Bundle) -> None:
    rows = [
        (item.name, str(len(item.text.encode("utf-8", "replace"))), item.what)
        for item in bundle.items
    ]
    session.report.table(("FILE", "BYTES", "WHAT"), rows, prose="WHAT")


def _tell_missing(session: Session, bundle: Bundle) -> None:
    for item in bundle.items:
        if item.problem:
            session.report.story(f"{item.name} is incomplete: {item.problem}")
    for one in bundle.missing:
        session.report.story(f"{one.name} is missing: {one.reason}")
    if note := bundle.about["secrets_note"]:
        session.report.story(note)


def _document(bundle: Bundle, path: Path | None) -> dict[str, Any]:
    from k3s_rootless.support import archive

    return {
        "file": str(path) if path else None,
        "anonymous": bundle.about["anonymous"],
        "redacted": bundle.about["redacted"],
        "files": archive.files(bundle.items),
        "missing": archive.missing(bundle.missing),
        "errors": [],
    }
