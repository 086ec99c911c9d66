"""`k3s-rootless unit`: show the unit and its drop-ins, and what `up --force` would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Group
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.operations.unit import File


@click.group("unit", cls=Group)
def command() -> None:
    """Show the systemd unit of K3s and its drop-ins."""


@command.command("show", exit_codes={0: "the files are shown", 3: "there is no unit"})
@json_option
def show(*, as_json: bool) -> None:
    """Show the unit and its drop-ins, with their authors.

    The files are in the order in which systemd applies them. Secrets are removed.
    """
    from k3s_rootless.operations import unit

    session = begin("unit-show", as_json=as_json)
    shown = unit.show(session)
    for one in shown.files:
        session.report.verbatim(f"# {one.path}\n# {_about(one)}\n{one.text or ''}")
    if shown.needs_reload:
        session.report.answer(
            "systemd has not read all of these files yet; reload and apply them with: k3s-rootless"
            " restart"
        )
    session.report.document(unit.show_document(shown))


@command.command("diff", exit_codes={0: "there are no differences", 1: "there are differences"})
@json_option
def diff(*, as_json: bool) -> None:
    """Show what `up --force` would change in the unit.

    Compares the unit and the drop-ins of k3s-rootless with the files that `up --force` would write.
    Secrets are removed.
    """
    from k3s_rootless.operations import unit

    session = begin("unit-diff", as_json=as_json)
    found = unit.diff(session)
    for one in found:
        session.report.verbatim(one.diff.rstrip("\n"))
    session.report.document(unit.diff_document(found))
    click.get_current_context().exit(1 if found else 0)


def _about(one: File) -> str:
    facts = [one.problem or "it does not exist"]
    if one.author is not None:
        facts = [one.author.value]
    if one.link:
        facts.append("a link")
    if not one.loaded:
        facts.append("not read by systemd yet")
    return ", ".join(facts)
