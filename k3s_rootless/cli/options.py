"""Options that several commands share; light, since `--help` and completion load it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Give a command `--json`: one document on stdout, errors included (docs/reference/json.md)."""
    option: Function = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)
    return option
