"""`k3s-rootless token`: the tokens of the server and of agents, and bootstrap tokens."""

from __future__ import annotations

from types import ModuleType

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import (
    dry_run_option,
    json_option,
    timeout_option,
    wait_option,
    yes_option,
)

_REVEAL = click.option("--reveal", is_flag=True, help="Print the tokens as well: they are secret.")


@click.group("token", cls=Group)
def command() -> None:
    """Show, rotate, create and delete the tokens of K3s.

    K3s encrypts its certificates in the datastore with the token of the server. A backup needs the
    token of its time.
    """


@command.command("show", cls=Command, exit_codes={3: "K3s is not installed"})
@_REVEAL
@json_option
def show(*, reveal: bool, as_json: bool) -> None:
    """Show where the tokens of the server and of agents are.

    Also shows the tokens that `rotate` has replaced, which earlier backups need.
    """
    from k3s_rootless.operations.token import show as showing

    session = begin("token-show", as_json=as_json)
    _renderer().show(session.report, showing.show(session), reveal=reveal)


@command.command("list", cls=Command, exit_codes={3: "K3s is not running"})
@_REVEAL
@json_option
def list_(*, reveal: bool, as_json: bool) -> None:
    """List the bootstrap tokens."""
    from k3s_rootless.operations.token import bootstrap

    session = begin("token-list", as_json=as_json)
    _renderer().show_list(session.report, bootstrap.read(session), reveal=reveal)


@command.command("create", cls=Command, exit_codes={3: "K3s is not running"})
@click.option(
    "--ttl",
    metavar="TIME",
    default="",
    help="Time to live, such as 30m or 2h; 0 for no limit. [default: that of K3s, 24h]",
)
@click.option("--description", metavar="TEXT", default="", help="What the token is for.")
@_REVEAL
@json_option
def create(*, ttl: str, description: str, reveal: bool, as_json: bool) -> None:
    """Create a bootstrap token.

    Prints its identifier. `token list --reveal` prints the token.
    """
    from k3s_rootless.operations.token import bootstrap

    session = begin("token-create", as_json=as_json)
    created = bootstrap.create(session, ttl=ttl, description=description)
    _renderer().show_created(session.report, created, reveal=reveal)


@command.command(
    "delete",
    cls=Command,
    exit_codes={2: "not an identifier of a token", 3: "K3s is not running"},
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@json_option
def delete(*, ids: tuple[str, ...], as_json: bool) -> None:
    """Delete bootstrap tokens by their identifiers."""
    from k3s_rootless.operations.token import bootstrap

    session = begin("token-delete", as_json=as_json)
    bootstrap.delete(session, ids)
    _renderer().show_deleted(session.report, ids)


@command.command(
    "rotate",
    cls=Command,
    exit_codes={
        0: "K3s uses the new token, and is ready",
        1: "the token is set in a place that cannot be changed, or K3s refused the new token",
        2: "no terminal to ask for confirmation, and no --yes; or a token that cannot be used",
        3: "K3s is not running",
        4: "the token is rotated, but K3s was not ready in time",
        5: "the token is set in a file of another user",
    },
)
@click.option("--agent", is_flag=True, help="Rotate the token for agents (agent-token).")
@click.option(
    "--stdin", is_flag=True, help="Read the new token from standard input, not a random one."
)
@yes_option
@dry_run_option
@timeout_option
@wait_option
@json_option
def rotate(
    *,
    agent: bool,
    stdin: bool,
    yes: bool,
    dry_run: bool,
    timeout: float,
    wait: bool,
    as_json: bool,
) -> None:
    """Replace the token of the server, and restart K3s.

    Sets the new token in every place that sets the old one: configuration files, the unit, its
    drop-ins and its environment. The old token is kept for earlier backups. Continues a rotation
    that was interrupted.
    """
    from k3s_rootless.cli import secret_input
    from k3s_rootless.operations.token import plan
    from k3s_rootless.operations.token import rotate as rotating

    session = begin("token-rotate", as_json=as_json)
    new = ""
    if stdin:
        usage = "usage: k3s-rootless token rotate --stdin < file"
        new = secret_input.read("new token", "set the new token", usage)
    request = plan.Request(timeout if wait else None, agent=agent, new=new, yes=yes)
    if dry_run:
        rotated = rotating.preview(session, request)
    else:
        rotated = rotating.rotate(session, request, session.report.confirm)
    _renderer().show_rotated(session.report, rotated)


def _renderer() -> ModuleType:
    """Import the module that shows results; an operation has loaded most of it by then."""
    from k3s_rootless.cli.display import token

    return token
