"""`k3s-rootless env`: the environment variables of K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.options import json_option

_REVEAL = click.option("--reveal", is_flag=True, help="Show passwords in addresses of proxies.")
_RUNTIME = click.option(
    "--runtime",
    is_flag=True,
    help="Only until your user manager ends; for each unit, the weakest of all.",
)
_FORCE = click.option(
    "--force", is_flag=True, help="Replace our drop-in although somebody edited it; a copy is kept."
)
_STDIN = click.option(
    "--stdin",
    is_flag=True,
    help="Read the value of the one NAME without a value from standard input.",
)


class Family(click.Group):
    """A group with documented subcommands."""

    @property
    def subcommands(self) -> tuple[click.Command, ...]:
        """The commands in order of definition."""
        return tuple(self.commands.values())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """List the commands in order of definition."""
        return list(self.commands)


@click.group("env", cls=Family)
def command() -> None:
    """Show and change the environment of K3s, and tell what is in effect."""


@command.command("list")
@_REVEAL
@json_option
def list_(*, reveal: bool, as_json: bool) -> None:
    """Show each variable: its value, where that comes from, and what K3s runs with.

    Exit codes: 0 shown.
    """
    from k3s_rootless.cli.display import environment
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import document, surroundings

    session = Session.begin("env-list" if as_json else None)
    seen, around = surroundings.read(session)
    found = document.document(seen, around, reveal=reveal)
    session.report.document(found)
    if not as_json:
        environment.show_list(session.report, found)


@command.command("get")
@click.argument("name")
@_REVEAL
@json_option
def get(*, name: str, reveal: bool, as_json: bool) -> None:
    """Print what the next start of K3s finds in a variable, or does without it.

    Exit codes: 0 printed, 1 it is not set and K3s has no default for it, 2 there is no such
    variable.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import document, surroundings

    session = Session.begin("env-get" if as_json else None)
    env_input.require_known([name], "get")
    seen, around = surroundings.read(session)
    row = document.row(seen, around, name, reveal=reveal)
    environment.show_variable(session.report, row)
    session.report.document({**row, "errors": []})
    click.get_current_context().exit(1 if environment.next_value(row) is None else 0)


@command.command("set")
@click.argument("given", nargs=-1, required=True, metavar="NAME=VALUE...")
@_STDIN
@_RUNTIME
@_FORCE
@json_option
def set_(*, given: tuple[str, ...], stdin: bool, runtime: bool, force: bool, as_json: bool) -> None:
    """Set variables for the next start of K3s, all or none.

    They are kept in a drop-in of ours, read by systemd, and read back. An empty value means what
    K3s does without one.

    Other users of this host can read a password in a command line. Pass a value that has one on
    standard input: `k3s-rootless env set --stdin HTTPS_PROXY < file`; on a terminal it is typed
    without an echo.

    Exit codes: 0 set, 1 systemd has something else and all is as it was, 2 K3s would die of it, or
    there is no such variable, 7 somebody edited our drop-in.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import change, document

    session = Session.begin("env-set" if as_json else None)
    env_input.warn_about_passwords(session, given)
    values = env_input.assignments(given, stdin=stdin)
    done = change.set_variables(session, values, runtime=runtime, force=force)
    environment.show_change(session.report, done)
    session.report.document(document.change_document(done))


@command.command("unset")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_RUNTIME
@_FORCE
@json_option
def unset(*, names: tuple[str, ...], runtime: bool, force: bool, as_json: bool) -> None:
    """Undo what `set` did, for these variables; what others set stays, and is told.

    Exit codes: 0 undone, or there was nothing to undo, 1 it could not be, 2 there is no such
    variable, 7 somebody edited our drop-in.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import change, document

    session = Session.begin("env-unset" if as_json else None)
    env_input.require_known(names, "unset", allow_foreign=True)
    done = change.unset_variables(session, names, runtime=runtime, force=force)
    environment.show_change(session.report, done)
    session.report.document(document.change_document(done))
