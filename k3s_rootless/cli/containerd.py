"""`k3s-rootless containerd`: the configuration of K3s's containerd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from types import ModuleType


@click.group("containerd", cls=Group)
def command() -> None:
    """Show, check or edit the configuration of containerd.

    K3s renders it at each start, from its own template or from yours, and containerd imports
    drop-ins after it. Changes take effect at the next start of K3s.
    """


@command.command(
    "show",
    cls=Command,
    exit_codes={0: "the settings are shown", 3: "K3s has not rendered the configuration yet"},
)
@click.option("--raw", is_flag=True, help="Print the rendered file; passwords are removed.")
@json_option
def show(*, raw: bool, as_json: bool) -> None:
    """Show the settings, and which file makes each of them.

    The values are those of the last start of K3s, and of drop-ins as they are now. Defaults of
    containerd are not shown. Passwords are hidden.
    """
    from k3s_rootless.operations.containerd import show as showing

    session = begin("containerd-show", as_json=as_json)
    shown = showing.show(session)
    _renderer().show(session.report, shown, raw=raw)
    click.get_current_context().exit(0 if shown.rendered else 3)


@command.command(
    "check",
    cls=Command,
    exit_codes={
        0: "no problem was found",
        1: "there is a problem in a file, or in the log of containerd",
    },
)
@json_option
def check(*, as_json: bool) -> None:
    """Check templates and drop-ins before K3s starts.

    The containerd that K3s brings validates the rendered configuration and the drop-ins. Go
    templates cannot be rendered here. The log of containerd is read as well: its errors are not in
    the journal.
    """
    from k3s_rootless.operations.containerd import check as checking

    session = begin("containerd-check", as_json=as_json)
    checked = checking.check(session)
    _renderer().show_checked(session.report, checked)
    click.get_current_context().exit(0 if checked.good else 1)


@command.command(
    "edit",
    cls=Command,
    exit_codes={
        0: "the drop-in is in place, or was not changed",
        1: "containerd refuses the text, or the editor failed; nothing was changed",
        2: "NAME cannot be the name of a drop-in",
        5: "another user could change the file",
        7: "another program changed the file meanwhile",
    },
)
@click.argument("name", default="user")
@json_option
def edit(*, name: str, as_json: bool) -> None:
    """Edit a drop-in of containerd, and check it first.

    Opens the drop-in NAME in the editor that VISUAL or EDITOR names. The text is put in place only
    if containerd accepts it. An empty text removes the drop-in. For releases of K3s without
    drop-ins, it is the template.
    """
    from k3s_rootless.operations.containerd import edit as editing

    session = begin("containerd-edit", as_json=as_json)
    edited = editing.edit(session, name, session.report.confirm)
    _renderer().show_edited(session.report, edited)


@command.command(
    "runtime-class",
    cls=Command,
    exit_codes={
        0: "the manifest is there",
        2: "K3s does not know the runtime, or creates its RuntimeClass itself",
        5: "another user could change the file",
        7: "the manifest was edited",
    },
)
@click.argument("name", default="nvidia-cdi")
@click.option("--dry-run", is_flag=True, help="Show the manifest, without writing it.")
@json_option
def runtime_class(*, name: str, dry_run: bool, as_json: bool) -> None:
    """Write a RuntimeClass that K3s does not create.

    K3s finds the runtime nvidia-cdi, but pods cannot request it without a RuntimeClass. The
    manifest is written to K3s's directory for manifests, and K3s applies it.
    """
    from k3s_rootless.operations.containerd import runtime_class as writing

    session = begin("containerd-runtime-class", as_json=as_json)
    written = writing.write(session, name, dry_run=dry_run)
    _renderer().show_written(session.report, written)


def _renderer() -> ModuleType:
    """Import the module that shows results; an operation has loaded most of it by then."""
    from k3s_rootless.cli.display import containerd

    return containerd
