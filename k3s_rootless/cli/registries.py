"""`k3s-rootless registries`: the registries from which K3s pulls images."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

_CHANGE_CODES = {
    0: "the file is as requested",
    1: "the file is not valid, or cannot be written",
    2: "K3s would ignore the value, or the password is missing",
    5: "another user could change the file",
}


@click.group("registries", cls=Group)
def command() -> None:
    """Show, check or change registries.yaml of K3s.

    The file has mirrors, credentials and certificates of registries. Rootless K3s reads it in its
    data directory, and not in /etc/rancher. Changes take effect at the next start of K3s;
    `k3s-rootless restart` applies them, and ends all pods meanwhile.
    """


@command.command(
    "show", cls=Command, exit_codes={0: "the file is valid", 1: "K3s cannot read the file"}
)
@json_option
def show(*, as_json: bool) -> None:
    """Show the registries, and where K3s reads them.

    Passwords and tokens are not shown.
    """
    from k3s_rootless.operations.registries import show as showing

    session = begin("registries-show", as_json=as_json)
    shown = showing.show(session)
    _renderer().show_list(session.report, shown)
    click.get_current_context().exit(1 if shown.fatal else 0)


@command.command(
    "check",
    cls=Command,
    exit_codes={
        0: "each mirror answers, and K3s ignores nothing in the file",
        1: "there is a problem in the file, or with a mirror or a registry",
        3: "K3s is not running, and the file is valid",
    },
)
@click.argument("names", nargs=-1, metavar="[REGISTRY]...")
@json_option
def check(*, names: tuple[str, ...], as_json: bool) -> None:
    """Check the file, and request each endpoint as K3s does.

    The requests come from the network namespace of the running K3s, with its DNS, its proxies and
    the credentials in the file. They pull no image.
    """
    from k3s_rootless.operations.registries import check as checking

    session = begin("registries-check", as_json=as_json)
    checked = checking.check(session, names)
    click.get_current_context().exit(_renderer().show_checked(session.report, checked))


@command.command("set", cls=Command, exit_codes=_CHANGE_CODES)
@click.argument("registry")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="URL",
    help="Pull the images of REGISTRY from here; several are tried in this order.",
)
@click.option(
    "--rewrite",
    "rewrites",
    multiple=True,
    type=(str, str),
    metavar="PATTERN REPLACEMENT",
    help="Replace a part of the image name in requests to the endpoints.",
)
@click.option("--username", metavar="NAME", help="User name; the password is read separately.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--ca-file", metavar="FILE", help="Authority that signed the certificate of REGISTRY."
)
@click.option("--cert-file", metavar="FILE", help="Certificate of this client.")
@click.option("--key-file", metavar="FILE", help="Key of the certificate of this client.")
@click.option(
    "--verify/--insecure-skip-verify",
    default=None,
    help="Verify the certificate of REGISTRY, or accept any. [default: as it is in the file]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be changed, without doing it.")
@json_option
def set_(  # noqa: PLR0913 (the options)
    *,
    registry: str,
    endpoints: tuple[str, ...],
    rewrites: tuple[tuple[str, str], ...],
    username: str | None,
    password_stdin: bool,
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
    verify: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Set mirrors, credentials or certificates of a registry.

    REGISTRY is its name in images, with the port, such as docker.io or registry.example:5000; `*`
    are all registries that the file does not name. Credentials and certificates belong to the host
    that is requested: for a mirror, name the host of the mirror.

    Everything else in the file is kept, with its comments. Pass a password on standard input:

    k3s-rootless registries set registry.example:5000 --username NAME --password-stdin < file
    """
    from k3s_rootless.operations.registries import change

    session = begin("registries-set", as_json=as_json)
    paths = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}
    request = change.Request(
        endpoints,
        dict(rewrites) or None,
        change.credentials(_credentials(registry, username, given=password_stdin)),
        {key: os.path.abspath(path) for key, path in paths.items() if path} or None,  # noqa: PTH100
        verify,
    )
    changed = change.set_registry(session, registry, request, dry_run=dry_run)
    _renderer().show_changed(session.report, changed)


@command.command("remove", cls=Command, exit_codes=_CHANGE_CODES)
@click.argument("registry")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, without doing it.")
@json_option
def remove(*, registry: str, dry_run: bool, as_json: bool) -> None:
    """Remove a registry with its mirrors and credentials.

    Everything else in the file is kept, with its comments.
    """
    from k3s_rootless.operations.registries import change

    session = begin("registries-remove", as_json=as_json)
    changed = change.remove_registry(session, registry, dry_run=dry_run)
    _renderer().show_changed(session.report, changed)


def _credentials(registry: str, username: str | None, *, given: bool) -> tuple[str, str] | None:
    """Return the user name, and the password from standard input or the terminal."""
    usage = f"usage: k3s-rootless registries set {registry} --username NAME --password-stdin < file"
    if username is None and not given:
        return None
    if not username:
        raise UsageError(f"cannot set `{registry}`: the user name is missing", hint=usage)
    if not given and not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError(f"cannot set `{registry}`: the password is missing", hint=usage)
    from k3s_rootless.cli import secret_input

    prompt = f"password of {username} for {registry}"
    return username, secret_input.read(prompt, f"set `{registry}`", usage)


def _renderer() -> ModuleType:
    """Import the module that shows results; an operation has loaded most of it by then."""
    from k3s_rootless.cli.display import registries

    return registries
