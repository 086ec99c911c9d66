"""Commands that run another program: all arguments are those of the program."""

from __future__ import annotations

from typing import Any

import click

from k3s_rootless.cli.help import Command
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import job

FAILED = 125
"""The exit code of every failure of k3s-rootless itself; other codes are those of the program."""
SETTINGS = {"allow_interspersed_args": False}
"""All words after the first one belong to the program."""


class _Misused(click.UsageError):
    exit_code = FAILED


class PassThrough(Command):
    """A command that runs a program, and exits as the program does."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 (click's signature)
    ) -> click.Context:
        """Parse the arguments; a usage error is a failure of k3s-rootless."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _Misused(error.format_message(), error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (click's signature)
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RootlessError as error:
            error.exit_code = FAILED
            raise


def end_as(ended: job.Ended) -> None:
    """End this process as the program ended."""
    if ended.signal:
        job.end_by(ended.signal)
    click.get_current_context().exit(ended.status)
