"""`k3s-rootless config`: server flags and resource limits, and the mirror of releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Group
from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.configuration.change import Changed
    from k3s_rootless.operations.configuration.settings_list import Answer

_FORCE = "Replace a drop-in that was edited; a copy is kept."


@click.group("config", cls=Group)
def command() -> None:
    """Show or change K3s server flags and resource limits.

    `k3s-rootless config list` shows all settings. Changes take effect at the next start of K3s;
    `k3s-rootless restart` applies them. `release.mirror` is a setting of k3s-rootless itself, for
    `release get` and `up --get`.
    """


@command.command("set")
@click.argument("name")
@click.argument("values", nargs=-1, metavar="VALUE...")
@click.option("--force", is_flag=True, help=_FORCE)
@json_option
def set_(*, name: str, values: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Set a setting.

    The VALUEs replace all previous values of NAME. Labels, taints and disabled components accept
    several VALUEs.
    """
    from k3s_rootless.operations.configuration import change

    session = begin("config-set", as_json=as_json)
    known = change.require_known(name.partition("=")[0])
    if not values:
        value = name.partition("=")[2] or "VALUE"
        raise UsageError(
            f"cannot set {known}: the value is missing",
            hint=f"usage: k3s-rootless config set {known} {value}",
        )
    _change(session, {change.require_known(name): values}, force=force)


@command.command("unset")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help=_FORCE)
@json_option
def unset(*, names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Reset settings to their defaults.

    Removes values that `config set` set. The K3s unit, or else K3s itself, then determines the
    value.
    """
    from k3s_rootless.operations.configuration import change

    session = begin("config-unset", as_json=as_json)
    _change(session, dict.fromkeys(map(change.require_known, names), ()), force=force)


@command.command("get", exit_codes={0: "the setting has a value", 1: "the setting has no value"})
@click.argument("name")
@json_option
def get(*, name: str, as_json: bool) -> None:
    """Print the values of a setting, one per line."""
    from k3s_rootless.operations.configuration import change, document, settings_list

    session = begin("config-get", as_json=as_json)
    found = settings_list.one(session, change.require_known(name))
    for value in found.values:
        session.report.verbatim(value)
    session.report.document(document.get_document(found))
    click.get_current_context().exit(0 if found.values else 1)


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show the settings, their values and sources."""
    from k3s_rootless.operations.configuration import document, settings_list

    session = begin("config-list", as_json=as_json)
    answer = settings_list.read(session)
    _show_list(session.report, answer, settings_list.notes(answer))
    session.report.document(document.list_document(answer))


def _change(session: Session, changes: Mapping[str, Sequence[str]], *, force: bool) -> None:
    from k3s_rootless.operations.configuration import change, document

    done = change.change(session, changes, force=force)
    _show_change(session.report, done)
    session.report.document(document.change_document(done))


def _show_list(report: Report, answer: Answer, notes: Sequence[str]) -> None:
    rows = [
        (one.name, ", ".join(one.values) or "-", one.places, one.what) for one in answer.settings
    ]
    report.table(("SETTING", "VALUE", "ORIGIN", "DESCRIPTION"), rows, prose="DESCRIPTION")
    if notes:
        report.answer()
    for note in notes:
        report.answer(note)
    if answer.restart_needed:
        report.answer(f"\n{_restart(answer.restart_needed)}")


def _show_change(report: Report, done: Changed) -> None:
    for one in done.settings:
        if one.origin == "default":
            default = "no value" if one.own else "K3s's default value"
            report.answer(f"{one.name} has {default}")
            continue
        elsewhere = "" if one.origin == "config" else f" ({one.places})"
        report.answer(f"{one.name} is {', '.join(one.values)}{elsewhere}")
    if done.state is None:
        return
    if not done.state.installed:
        report.answer("K3s is not installed yet; `k3s-rootless up` starts it with these settings")
    elif done.restart_needed:
        report.answer(_restart(done.restart_needed))


def _restart(cause: str) -> str:
    return f"restart required: {cause}; apply it with: k3s-rootless restart"
