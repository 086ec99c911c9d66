"""`k3s-rootless env`: the environment that K3s is started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli import env_change, env_input
from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session

_REVEAL = click.option("--reveal", is_flag=True, help="Show passwords in addresses of proxies.")


class Family(click.Group):
    """A group whose commands are told of in the documentation."""

    @property
    def subcommands(self) -> tuple[click.Command, ...]:
        """The commands, in their order."""
        return tuple(self.commands.values())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """List the commands in their order."""
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
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import document as env_document
    from k3s_rootless.operations.environment import look, surroundings

    session = Session.begin("env-list" if as_json else None)
    with session.manager() as manager:
        seen = look.look(session, manager)
    around = surroundings.of(session, seen, seen.values(), seen.version)
    found = env_document.document(seen, around, reveal=reveal)
    session.report.document(found)
    if not as_json:
        _show(session, found)


@command.command("get")
@click.argument("name")
@_REVEAL
@json_option
def get(*, name: str, reveal: bool, as_json: bool) -> None:
    """Print what the next start of K3s finds in a variable, or does without it.

    Exit codes: 0 printed, 1 it is not set and K3s has no default for it, 2 there is no such
    variable.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.environment import document as env_document
    from k3s_rootless.operations.environment import look, surroundings

    session = Session.begin("env-get" if as_json else None)
    env_input.require_known([name], "get")
    with session.manager() as manager:
        seen = look.look(session, manager)
    around = surroundings.of(session, seen, seen.values(), seen.version)
    row = env_document.row(seen, around, name, reveal=reveal)
    value = row["value"] if row["set"] else row["default"]
    for word in (row["reason"], *row["warnings"], row["doubt"]):
        if word:
            session.report.story(f"{name}: {word}")
    if row["redacted"]:
        session.report.story(
            f"the password is left out; with it: k3s-rootless env get --reveal {name}"
        )
    if value is not None:
        session.report.value(value)
    session.report.document({**row, "errors": []})
    click.get_current_context().exit(0 if value is not None else 1)


command.add_command(env_change.set_)
command.add_command(env_change.unset)


def _show(session: Session, found: Mapping[str, Any]) -> None:
    rows, running = found["variables"], found["running"]
    known = running and found["unknown_running"] is None
    head = ["VARIABLE", "NEXT START", "FROM", *(["RUNNING"] if known else [])]
    session.report.table(head, [_cells(row)[: len(head)] for row in rows], prose="NEXT START")
    notes = [
        f"{row['name']}: {word}"
        for row in rows
        for word in (row["reason"], *row["warnings"], row["doubt"])
        if word
    ]
    for line in ["", *notes] if notes else ():
        session.report.answer(line)
    told = [
        row["name"]
        for row in rows
        if row["name"] in found["strange"] and row["origin"] == "manager"
    ]
    if told:
        session.report.answer(
            "\ntake it out of the user manager with: k3s-rootless env unset --runtime"
            f" {' '.join(told)}"
        )
    if running and not known:
        session.report.answer(f"\nunknown what K3s runs with: {found['unknown_running']}")
    if found["pending"]:
        from k3s_rootless.operations.environment import look

        session.report.answer(f"\nrestart needed: {look.restart_owed(found['pending'])}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    next_start = row["value"] if row["set"] else row["default"]
    runs = (
        ("not set" if row["started_with"] is None else _text(row["started_with"]))
        if row["restart_needed"]
        else "the same"
    )
    # A drop-in is known by its name, and `systemctl --user cat` shows it; another file only by its
    # path.
    place = (
        (row["path"] or "").rpartition("/")[2] if row["origin"] == "drop-in" else row["path"] or ""
    )
    origin = f"{row['origin']} {place}".rstrip()
    return [
        row["name"],
        _text(next_start),
        origin if next_start is not None else "",
        runs if next_start is not None else "",
    ]


def _text(value: str | None) -> str:
    return "-" if value is None else value or "(empty)"
