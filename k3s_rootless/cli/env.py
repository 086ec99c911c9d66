"""`k3s-rootless env`: the environment variables of K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Group
from k3s_rootless.cli.options import json_option

_REVEAL = click.option("--reveal", is_flag=True, help="Show passwords in proxy URLs.")
_RUNTIME = click.option(
    "--runtime",
    is_flag=True,
    help="Use the environment of the user manager: all units get it, drop-ins override it, and"
    " it is lost when the user manager exits.",
)
_FORCE = click.option(
    "--force", is_flag=True, help="Replace the drop-in if it was edited; a copy is kept."
)
_STDIN = click.option(
    "--stdin",
    is_flag=True,
    help="Read the value of the one NAME that has no value from standard input.",
)


@click.group("env", cls=Group)
def command() -> None:
    """Show or change the environment variables of K3s.

    Changes take effect at the next start of K3s; `k3s-rootless restart` applies them.
    """


@command.command("list")
@_REVEAL
@json_option
def list_(*, reveal: bool, as_json: bool) -> None:
    """Show the variables, their values and sources.

    Also shows the values that the running K3s was started with.
    """
    from k3s_rootless.cli.display import environment
    from k3s_rootless.operations.environment import document, surroundings

    session = begin("env-list", as_json=as_json)
    seen, around = surroundings.read(session)
    found = document.document(seen, around, reveal=reveal)
    session.report.document(found)
    if not as_json:
        environment.show_list(session.report, found)


@command.command(
    "get",
    exit_codes={
        0: "the value is printed",
        1: "the variable is not set, and K3s has no default for it",
        2: "there is no such variable",
    },
)
@click.argument("name")
@_REVEAL
@json_option
def get(*, name: str, reveal: bool, as_json: bool) -> None:
    """Print the value of a variable at the next start of K3s.

    If the variable is not set, prints the default of K3s.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.operations.environment import document, surroundings

    session = begin("env-get", as_json=as_json)
    env_input.require_known([name], "get")
    seen, around = surroundings.read(session)
    row = document.row(seen, around, name, reveal=reveal)
    environment.show_variable(session.report, row)
    session.report.document({**row, "errors": []})
    click.get_current_context().exit(1 if environment.next_value(row) is None else 0)


@command.command(
    "set",
    exit_codes={
        0: "the variables are set",
        1: "systemd loaded other values; the previous values are restored",
        2: "K3s would exit with this value, or there is no such variable",
        7: "the drop-in was edited",
    },
)
@click.argument("given", nargs=-1, required=True, metavar="NAME=VALUE...")
@_STDIN
@_RUNTIME
@_FORCE
@json_option
def set_(*, given: tuple[str, ...], stdin: bool, runtime: bool, force: bool, as_json: bool) -> None:
    """Set variables for the next start of K3s.

    Sets all variables or none: writes them to a drop-in of k3s-rootless, reloads systemd, and
    verifies the loaded values. With an empty value, K3s uses its default.

    Other users of this host can read passwords in a command line. Pass a value with a password on
    standard input:

    k3s-rootless env set --stdin HTTPS_PROXY < file

    On a terminal, --stdin prompts for the value and does not show it.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.operations.environment import change, document

    session = begin("env-set", as_json=as_json)
    env_input.warn_about_passwords(session, given)
    values = env_input.assignments(given, stdin=stdin)
    done = change.set_variables(session, values, runtime=runtime, force=force)
    environment.show_change(session.report, done)
    session.report.document(document.change_document(done))


@command.command(
    "unset",
    exit_codes={
        0: "the variables are removed, or were not set by `env set`",
        1: "systemd still has a value",
        2: "there is no such variable",
        7: "the drop-in was edited",
    },
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_RUNTIME
@_FORCE
@json_option
def unset(*, names: tuple[str, ...], runtime: bool, force: bool, as_json: bool) -> None:
    """Remove variables that `env set` set.

    Values from other sources are kept and reported.
    """
    from k3s_rootless.cli import env_input
    from k3s_rootless.cli.display import environment
    from k3s_rootless.operations.environment import change, document

    session = begin("env-unset", as_json=as_json)
    env_input.require_known(names, "unset", allow_foreign=True)
    done = change.unset_variables(session, names, runtime=runtime, force=force)
    environment.show_change(session.report, done)
    session.report.document(document.change_document(done))


@command.command(
    "import-proxy",
    exit_codes={
        0: "the proxies are set",
        2: "this shell has no proxy, or K3s would exit with its value",
        7: "the drop-in was edited",
    },
)
@click.option("--dry-run", is_flag=True, help="Show what would be set, without setting it.")
@_FORCE
@json_option
def import_proxy(*, dry_run: bool, force: bool, as_json: bool) -> None:
    """Let K3s use the proxies of this shell.

    Takes HTTP_PROXY, HTTPS_PROXY, NO_PROXY and their variants for containerd from the environment,
    as the installer of K3s does. NO_PROXY also gets the networks and the domain of the cluster.
    Entries that K3s already has are kept.

    The values are written to the drop-in of `env set`, with mode 0600, and are never printed with
    their passwords.
    """
    from k3s_rootless.cli.display import environment
    from k3s_rootless.operations.environment import import_proxy as operation

    session = begin("env-import-proxy", as_json=as_json)
    if dry_run:
        found = operation.preview(session)
        environment.show_import(session.report, found.values)
        session.report.document(operation.preview_document(found))
        return
    done = operation.import_proxy(session, force=force)
    environment.show_change(session.report, done)
    session.report.document(operation.change_document(done))
