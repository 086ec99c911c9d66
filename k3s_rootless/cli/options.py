"""Options that several commands share.

This module loads little, because `--help` and completion load it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from k3s_rootless.cli.help import Option
from k3s_rootless.operations.readiness.phases import KEYS

Function = TypeVar("Function", bound=Callable[..., Any])
_WAITING = "Wait options"


def json_option(function: Function) -> Function:
    """Add `--json`: one document on stdout, including errors (docs/reference/json.md)."""
    option: Function = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
    )(function)
    return option


def yes_option(function: Function) -> Function:
    """Add `--yes`."""
    option: Function = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(
        function
    )
    return option


def dry_run_option(function: Function) -> Function:
    """Add `--dry-run`, for commands that show their steps."""
    option: Function = click.option(
        "--dry-run", is_flag=True, help="Show what would be done, without doing it."
    )(function)
    return option


def from_option(function: Function) -> Function:
    """Add `--from FILE`, as `given`."""
    option: Function = click.option(
        "--from",
        "given",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Use this unit file, as shipped with the installed K3s release.",
    )(function)
    return option


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Parse a duration such as 90, 90s, 5m or 1h."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(value[-1:], 0)
    number = value[:-1] if factor else value
    if not number.isdecimal() or len(number) > 6:
        raise click.BadParameter(
            f"`{value}` is not a duration; use for example 90s, 5m or 1h", context, parameter
        )
    return float(int(number) * (factor or 1))


def _grace(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Parse the value of `--grace`; without one, only the Pods limit the time."""
    if value is None:
        return None
    return _seconds(context, parameter, value) if value else float("inf")


def grace_option(function: Function) -> Function:
    """Add `--grace [SECONDS]`: seconds, infinite without a value, or None if it is not given."""
    option: Function = click.option(
        "--grace",
        is_flag=False,
        flag_value="",
        metavar="[SECONDS]",
        callback=_grace,
        help="Let the Pods end first, each within its grace period, or all within SECONDS.",
    )(function)
    return option


def timeout_option(function: Function) -> Function:
    """Add `--timeout`, in seconds."""
    option: Function = click.option(
        "--timeout",
        cls=Option,
        group=_WAITING,
        metavar="TIME",
        callback=_seconds,
        default="5m",
        show_default=True,
        help="Maximum time to wait: 90s, 5m, 1h.",
    )(function)
    return option


def progress_option(function: Function) -> Function:
    """Add `--timeout`, in seconds: the limit of a wait without progress."""
    option: Function = click.option(
        "--timeout",
        metavar="TIME",
        callback=_seconds,
        default="10m",
        show_default=True,
        help="Maximum time in which K3s makes no progress: 90s, 5m, 1h.",
    )(function)
    return option


def mirror_option(function: Function) -> Function:
    """Add `--mirror URL`."""
    option: Function = click.option(
        "--mirror", metavar="URL", help="Download from this URL: URL/VERSION/FILE, on https."
    )(function)
    return option


def wait_option(function: Function) -> Function:
    """Add `--wait` and `--no-wait`."""
    option: Function = click.option(
        "--wait/--no-wait",
        cls=Option,
        group=_WAITING,
        default=True,
        show_default=True,
        help="Wait until K3s is ready, or exit once systemd has started it.",
    )(function)
    return option


def wait_for_option(function: Function) -> Function:
    """Add `--wait-for`: the last phase to wait for."""
    option: Function = click.option(
        "--wait-for",
        cls=Option,
        group=_WAITING,
        metavar="PHASE",
        type=click.Choice(KEYS),
        default="node",
        show_default=True,
        help=f"Wait until K3s has reached this phase: {', '.join(KEYS)} (in this order).",
    )(function)
    return option
