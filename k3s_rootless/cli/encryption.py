"""`k3s-rootless encryption`: the encryption of Secrets in K3s's datastore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import dry_run_option, json_option, progress_option

Function = TypeVar("Function", bound=Callable[..., Any])
_EXIT_CODES = {
    0: "K3s has written all Secrets again, or there is nothing to do",
    1: "K3s refused the change, or failed",
    2: "no terminal to ask for confirmation of a restart, and no --yes",
    3: "K3s is not running",
    4: "K3s was not ready in time after a restart, or made no progress",
}


@click.group("encryption", cls=Group)
def command() -> None:
    """Show, enable and disable the encryption of Secrets.

    K3s can encrypt the Secrets in its datastore. The keys are in its data directory, so this
    protects copies of the datastore, not the data directory.
    """


def _change_options(function: Function) -> Function:
    """Add the options that all changes have."""
    added: Function = dry_run_option(json_option(progress_option(function)))
    return click.option("--yes", is_flag=True, help="Do not ask before a restart.")(added)


@command.command("status", cls=Command, exit_codes={3: "K3s is not running"})
@json_option
def status(*, as_json: bool) -> None:
    """Show whether Secrets are encrypted, the stage and the keys."""
    from k3s_rootless.cli.display import encryption
    from k3s_rootless.operations.encryption import status as showing

    session = begin("encryption-status", as_json=as_json)
    encryption.show(session.report, showing.show(session))


@command.command("enable", cls=Command, exit_codes=_EXIT_CODES)
@_change_options
def enable(*, yes: bool, dry_run: bool, timeout: float, as_json: bool) -> None:
    """Encrypt all Secrets, also those that exist.

    Restarts K3s, which stops all pods. Continues a change that was interrupted.
    """
    _change("enable", yes=yes, dry_run=dry_run, timeout=timeout, as_json=as_json)


@command.command("disable", cls=Command, exit_codes=_EXIT_CODES)
@_change_options
def disable(*, yes: bool, dry_run: bool, timeout: float, as_json: bool) -> None:
    """Write all Secrets without encryption.

    Restarts K3s, which stops all pods. Continues a change that was interrupted. The keys are kept.
    """
    _change("disable", yes=yes, dry_run=dry_run, timeout=timeout, as_json=as_json)


@command.command("rotate-keys", cls=Command, exit_codes=_EXIT_CODES)
@_change_options
def rotate_keys(*, yes: bool, dry_run: bool, timeout: float, as_json: bool) -> None:
    """Encrypt all Secrets with a new key, and remove the old one.

    Needs no restart from v1.30.5 and v1.31.1 on; earlier releases need two. Continues a rotation
    that was interrupted.
    """
    _change("rotate-keys", yes=yes, dry_run=dry_run, timeout=timeout, as_json=as_json)


def _change(name: str, *, yes: bool, dry_run: bool, timeout: float, as_json: bool) -> None:
    from k3s_rootless.cli.display import encryption
    from k3s_rootless.operations.encryption import change, record

    session = begin(f"encryption-{name}", as_json=as_json)
    request = change.Request(record.Goal(name), timeout, yes=yes)
    if dry_run:
        changed = change.preview(session, request)
    else:
        changed = change.change(session, request, session.report.confirm)
    encryption.show_changed(session.report, changed)
