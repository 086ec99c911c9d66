"""`k3s-rootless kubeconfig`: K3s's kubeconfig, and its copies in files of the user."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option

_NAME = "k3s-rootless"
_context_option = click.option(
    "--context",
    "name",
    metavar="NAME",
    default=_NAME,
    show_default=True,
    help="The name of cluster, user and context.",
)


@click.group("kubeconfig", cls=Group)
def command() -> None:
    """Show the kubeconfig, and merge it into your own.

    K3s writes its kubeconfig at each start, and calls cluster, user and context `default`. These
    commands call them `k3s-rootless`.
    """


@command.command(
    "show",
    cls=Command,
    exit_codes={
        1: "the kubeconfig cannot be used, or the certificate does not have the name of --host",
        3: "K3s is not installed, or has not written its kubeconfig yet",
    },
)
@click.option("--raw", is_flag=True, help="Print certificates and key as well: they are secret.")
@click.option(
    "--host",
    metavar="NAME",
    help="Print the address for another machine: a name or an address of this host.",
)
@_context_option
@json_option
def show(*, raw: bool, host: str | None, name: str, as_json: bool) -> None:
    """Print the kubeconfig of K3s, without secrets.

    With --host, the certificate of the API server must have this name.
    """
    from k3s_rootless.operations.kubeconfig import show as showing

    session = begin("kubeconfig-show", as_json=as_json)
    shown = showing.show(session, raw=raw, host=host, name=name)
    _renderer().show(session.report, shown)


@command.command(
    "path",
    cls=Command,
    exit_codes={3: "K3s is not installed, or has not written its kubeconfig yet"},
)
@json_option
def path(*, as_json: bool) -> None:
    """Print the path of the kubeconfig of K3s."""
    from k3s_rootless.operations.kubeconfig import show as showing

    session = begin("kubeconfig-path", as_json=as_json)
    located = showing.locate(session)
    _renderer().show_path(session.report, located)
    click.get_current_context().exit(0 if located.exists else 3)


@command.command(
    "merge",
    cls=Command,
    exit_codes={
        0: "the file has the entries",
        1: "the file cannot be read or written, or it is locked",
        2: "the file or the name cannot be used",
        3: "K3s is not installed, or has not written its kubeconfig yet",
        5: "another user could change the file",
        7: "the file has entries of this name from another program, or they were edited",
    },
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to change. [default: the one that kubectl changes]",
)
@_context_option
@click.option(
    "--switch/--no-switch",
    default=None,
    help="Make it the current context, or never. [default: only if there is none]",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace entries of this name that k3s-rootless did not write.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be changed, without doing it.")
@json_option
def merge(
    *,
    into: Path | None,
    name: str,
    switch: bool | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add the cluster to your own kubeconfig.

    The file is the one that kubectl changes: the first existing file in KUBECONFIG, else the last
    one, else ~/.kube/config. Everything else in it is kept. `up` and `restart` refresh the copy
    after K3s has new certificates.
    """
    from k3s_rootless.operations.kubeconfig import merge as merging

    session = begin("kubeconfig-merge", as_json=as_json)
    request = merging.Request(into, name, switch, overwrite, dry_run)
    merged = merging.merge(session, request, session.report.confirm)
    _renderer().show_merged(session.report, merged)


@command.command(
    "remove",
    cls=Command,
    exit_codes={
        0: "no file has entries of k3s-rootless",
        1: "a file cannot be read or written, or it is locked",
        7: "entries were edited, and are kept",
    },
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, without doing it.")
@json_option
def remove(*, dry_run: bool, as_json: bool) -> None:
    """Remove what `merge` added to your kubeconfigs.

    If a removed context was the current one, the context before it becomes current again.
    """
    from k3s_rootless.operations.kubeconfig import remove as removing

    session = begin("kubeconfig-remove", as_json=as_json)
    removed = removing.remove(session, session.report.confirm, dry_run=dry_run)
    click.get_current_context().exit(_renderer().show_removed(session.report, removed))


def _renderer() -> ModuleType:
    """Import the module that shows results; an operation has loaded most of it by then."""
    from k3s_rootless.cli.display import kubeconfig

    return kubeconfig
