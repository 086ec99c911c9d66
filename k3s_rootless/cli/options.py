"""Options that several commands share.

This module loads little, because `--help` and completion load it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from k3s_rootless.operations.readiness.phases import KEYS

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add `--json`: one document on stdout, including errors (docs/reference/json.md)."""
    option: Function = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document."
    )(function)
    return option


def from_option(function: Function) -> Function:
    """Add `--from FILE`, as `given`."""
    words = "Take this unit file, which K3s ships with the installed release."
    kind = click.Path(path_type=Path)
    option: Function = click.option("--from", "given", type=kind, metavar="FILE", help=words)(
        function
    )
    return option


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Parse a duration such as 90, 90s, 5m or 1h."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(value[-1:], 0)
    number = value[:-1] if factor else value
    if not number.isdecimal() or len(number) > 6:
        raise click.BadParameter(
            f"`{value}` is no length of time; write 90s, 5m or 1h", context, parameter
        )
    return float(int(number) * (factor or 1))


def timeout_option(function: Function) -> Function:
    """Add `--timeout`, in seconds."""
    words = "How long to wait until K3s is ready."
    option: Function = click.option(
        "--timeout", callback=_seconds, default="5m", show_default=True, help=words
    )(function)
    return option


def wait_option(function: Function) -> Function:
    """Add `--wait` and `--no-wait`."""
    words = "Wait until K3s is ready, or end once systemd has started it."
    option: Function = click.option("--wait/--no-wait", default=True, help=words)(function)
    return option


def wait_for_option(function: Function) -> Function:
    """Add `--wait-for`: the last phase to wait for."""
    words = "The last phase to wait for, in the order in which K3s reaches them."
    option: Function = click.option(
        "--wait-for", type=click.Choice(KEYS), default="node", show_default=True, help=words
    )(function)
    return option
