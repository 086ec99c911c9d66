"""`k3s-rootless config`: server flags and resource limits, kept in a drop-in of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cli.session import Session

_FORCE = "Replace a drop-in that was edited; a copy is kept."


@click.group("config")
def command() -> None:
    """Set K3s's server flags and resource limits; `restart` applies them.

    What can be set, and what is: `k3s-rootless config list`.
    """


@command.command("set")
@click.argument("name")
@click.argument("values", nargs=-1, metavar="VALUE...")
@click.option("--force", is_flag=True, help=_FORCE)
@json_option
def set_(*, name: str, values: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Set NAME to each VALUE, in place of what it was set to.

    Labels, taints and disabled components take several values. What a running K3s was started with
    stays until `restart`.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import configuration

    session = Session.begin("config-set" if as_json else None)
    known = configuration.require_known(name.partition("=")[0])
    if not values:
        value = name.partition("=")[2] or "VALUE"
        raise UsageError(
            f"cannot set {known}: there is no value",
            hint=f"write it as: k3s-rootless config set {known} {value}",
        )
    _change(session, {configuration.require_known(name): values}, force=force)


@command.command("unset")
@click.argument("names", nargs=-1, required=True)
@click.option("--force", is_flag=True, help=_FORCE)
@json_option
def unset(*, names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Let NAMES be again what K3s's own unit says, or K3s's default."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import configuration

    session = Session.begin("config-unset" if as_json else None)
    _change(session, dict.fromkeys(map(configuration.require_known, names), ()), force=force)


@command.command("get")
@click.argument("name")
@json_option
def get(*, name: str, as_json: bool) -> None:
    """Print what NAME is, one value a line.

    Exit codes: 0 it has a value, 1 it has none.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import configuration, configuration_list

    session = Session.begin("config-get" if as_json else None)
    name = configuration.require_known(name)
    (found,) = (one for one in configuration_list.read(session).settings if one.name == name)
    for value in found.values:
        session.report.verbatim(value)
    session.report.document({**found.document(), "errors": []})
    click.get_current_context().exit(0 if found.values else 1)


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show each setting, its value, and where it comes from."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import configuration_list

    session = Session.begin("config-list" if as_json else None)
    answer = configuration_list.read(session)
    rows = [
        (one.name, ", ".join(one.values) or "-", one.places, one.what) for one in answer.settings
    ]
    session.report.table(("SETTING", "VALUE", "FROM", "WHAT IT IS"), rows, prose="WHAT IT IS")
    for number, line in enumerate(configuration_list.notes(answer.resolved)):
        session.report.answer(line if number else f"\n{line}")
    if answer.restart_needed:
        session.report.answer(
            f"\na restart is needed: {answer.restart_needed}; apply it with: k3s-rootless restart"
        )
    session.report.document(configuration_list.document(answer))


def _change(session: Session, changes: Mapping[str, Sequence[str]], *, force: bool) -> None:
    from k3s_rootless.operations import configuration

    done = configuration.change(session, changes, force=force)
    for one in done.settings:
        if one.origin == "default":
            session.report.answer(f"{one.name} is K3s's default again")
            continue
        elsewhere = "" if one.origin == "config" else f" ({one.places})"
        session.report.answer(f"{one.name} is {', '.join(one.values)}{elsewhere}")
    if not done.state.installed:
        session.report.answer(
            "K3s is not installed yet; `k3s-rootless up` starts it with these settings"
        )
    elif done.restart_needed:
        session.report.answer(
            f"a restart is needed: {done.restart_needed}; apply it with: k3s-rootless restart"
        )
    session.report.document(
        {"changed": done.changed, "restart_needed": done.restart_needed, "errors": []}
    )
