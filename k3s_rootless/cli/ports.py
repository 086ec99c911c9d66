"""`k3s-rootless ports`: show which host port reaches which Service."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command
from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command(
    "plan", cls=Command, exit_codes={0: "all host ports are free", 1: "there are port conflicts"}
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="Namespace of objects that name none.",
)
@json_option
def plan(*, files: tuple[str, ...], namespace: str, as_json: bool) -> None:
    """Show which host ports the Services in manifests would get.

    Shows all port conflicts with this host and this cluster before the manifests are applied. The
    FILE `-` is standard input.
    """
    from k3s_rootless.cli.display import ports as renderer
    from k3s_rootless.operations.ports import plan as operation

    session = begin("ports-plan", as_json=as_json)
    found = operation.plan(session, files, namespace, sys.stdin.buffer)
    renderer.show_plan(session.report, found)
    click.get_current_context().exit(found.exit_code)


class Ports(Command):
    """A command with arguments and a subcommand.

    If the first argument is `plan`, it selects the subcommand. A Service of that name can be given
    as `default/plan`.
    """

    subcommands = (plan,)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 (click's signature)
    ) -> click.Context:
        """Create the context of the subcommand if it is selected."""
        for one in self.subcommands:
            if args and args[0] == one.name:
                return one.make_context(f"{info_name} {one.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        """List the subcommands like a group, and the exit codes."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one.name or "", one.get_short_help_str(200)) for one in self.subcommands]
            )
        super().format_epilog(ctx, formatter)


def _complete(
    context: click.Context,  # noqa: ARG001 (click's signature)
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[str]:
    names = [one.name or "" for one in Ports.subcommands]
    return [name for name in names if name.startswith(incomplete)]


@click.command(
    "ports",
    cls=Ports,
    exit_codes={
        0: "the ports are shown",
        1: "WHAT was not found, or a --probe failed",
        3: "K3s is not running",
        4: "K3s is starting, or neither forwards nor Services can be read",
    },
)
@click.argument("what", nargs=-1, shell_complete=_complete)
@click.option(
    "--all", "everything", is_flag=True, help="Also show ports that are not forwarded, and why."
)
@click.option("--probe", is_flag=True, help="Connect to each forwarded port from this host.")
@click.option("--url", "urls", is_flag=True, help="Print URLs only.")
@click.option("--watch", is_flag=True, help="Show each change within a second, until interrupted.")
@json_option
def command(
    *, what: tuple[str, ...], everything: bool, probe: bool, urls: bool, watch: bool, as_json: bool
) -> None:
    """Show which host port reaches which Service.

    Rootless K3s adds 10000 to Service ports up to and including 1024, because an unprivileged user
    cannot listen on them: port 80 becomes 10080. The port of the API server is not changed.

    With WHAT, shows everything about a port (80, 10080) or a Service (web, default/web, web:http).
    """
    from k3s_rootless.operations.ports import query

    if watch and (what or probe or urls):
        raise UsageError(
            "cannot combine --watch with WHAT, --probe or --url: it shows changes of all ports",
            hint="run it without WHAT, --probe and --url",
        )
    session = begin("ports", as_json=as_json)
    if watch:
        _watch(session, everything=everything)
        return
    answer = query.run(session, what, everything=everything, probe=probe)
    # Imported after `query`, which loads the common modules while systemd answers.
    from k3s_rootless.cli.display import ports as renderer

    renderer.show(session.report, answer, urls=urls)
    click.get_current_context().exit(answer.exit_code)


def _watch(session: Session, *, everything: bool) -> None:
    from k3s_rootless.cli.display import ports_changes
    from k3s_rootless.operations.ports import watch

    turns = closing(watch.turns(session, everything=everything))
    with turns as running, ports_changes.renderer(session.report) as renderer:
        for turn in running:
            renderer.show(turn)
            if session.report.reader_left():
                return
