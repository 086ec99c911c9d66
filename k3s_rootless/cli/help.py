"""The help of commands: options in groups, exit codes, and summaries for tables of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

_OPTIONS = "Options"


class Option(click.Option):
    """An option that the help lists under the heading `group`."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's signature)
        group: str = _OPTIONS,
        **extra: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **extra)
        self.group = group


class _Summarized(click.Command):
    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help without a full stop."""
        return super().get_short_help_str(limit).removesuffix(".")


class Command(_Summarized):
    """A command with groups of options, and with exit codes.

    `exit_codes` are those that this command explains; docs/reference/exit-codes.md lists all.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's signature)
        exit_codes: Mapping[int, str] | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **extra)
        self.exit_codes = exit_codes or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, grouped by heading in order of definition."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", _OPTIONS), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        super().format_epilog(ctx, formatter)
        if self.exit_codes:
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), text) for code, text in self.exit_codes.items()])


class Group(_Summarized, click.Group):
    """A group that lists its commands in order of definition."""

    command_class = Command

    @property
    def subcommands(self) -> tuple[click.Command, ...]:
        """The commands in order of definition."""
        return tuple(self.commands.values())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """List the names of the commands in order of definition."""
        return list(self.commands)
