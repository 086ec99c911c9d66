"""`k3s-rootless shell`: run a shell inside the namespaces of K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.pass_through import FAILED, SETTINGS, PassThrough, end_as


@click.command(
    "shell",
    cls=PassThrough,
    context_settings=SETTINGS,
    exit_codes={FAILED: "the program could not be run; all other codes are those of the program"},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND ...]")
def command(*, words: tuple[str, ...]) -> None:
    """Run a shell or COMMAND inside the namespaces of K3s.

    You are root there, without any rights that you do not have outside. kubectl, crictl and ctr are
    on the PATH and use the running K3s.

    \b
    Examples:
      k3s-rootless shell
      k3s-rootless shell -- ss -tln
      k3s-rootless shell -- crictl images
    """  # noqa: D301 (click needs the character itself)
    from k3s_rootless.operations.node import shell

    end_as(shell.run(begin("shell", as_json=False), words))
