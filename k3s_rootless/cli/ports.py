"""`k3s-rootless ports`: show which host port reaches which Service."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import UsageError

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command("plan")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="Namespace for objects without one.",
)
@json_option
def plan(*, files: tuple[str, ...], namespace: str, as_json: bool) -> None:
    """Show the host ports that Services in manifests would get.

    Shows each conflict with this host and this cluster before you apply the manifests. `-` reads
    standard input.

    Exit codes: 0 all ports are free, 1 there are conflicts.
    """
    from k3s_rootless.cli.display import ports as renderer
    from k3s_rootless.operations.ports import plan as operation

    session = _session("ports-plan", as_json=as_json)
    found = operation.plan(session, files, namespace, sys.stdin.buffer)
    renderer.show_plan(session.report, found)
    click.get_current_context().exit(found.exit_code)


class Ports(click.Command):
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
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        formatter: click.HelpFormatter,
    ) -> None:
        """List the subcommands like a group."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one.name or "", one.get_short_help_str(200)) for one in self.subcommands]
            )


def _complete(
    context: click.Context,  # noqa: ARG001 (click's signature)
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[str]:
    names = [one.name or "" for one in Ports.subcommands]
    return [name for name in names if name.startswith(incomplete)]


@click.command("ports", cls=Ports)
@click.argument("what", nargs=-1, shell_complete=_complete)
@click.option(
    "--all", "everything", is_flag=True, help="Also show ports that are not forwarded, and why."
)
@click.option("--probe", is_flag=True, help="Test each forward with a connection from this host.")
@click.option("--url", "urls", is_flag=True, help="Print only the URLs.")
@click.option("--watch", is_flag=True, help="Keep running, and show each change within a second.")
@json_option
def command(
    *, what: tuple[str, ...], everything: bool, probe: bool, urls: bool, watch: bool, as_json: bool
) -> None:
    """Show which port of this host reaches which Service.

    K3s adds 10000 to Service ports up to and including 1024, because users are not allowed to
    listen on these ports. The port of the API server is never changed.

    WHAT is a port (80, 10080) or a Service (web, default/web, web:http) to explain in detail.

    Exit codes: 0 success, 1 WHAT does not exist or a probe failed, 3 K3s is not running, 4 K3s is
    starting, or neither its forwards nor its Services can be read.
    """
    from k3s_rootless.operations.ports import query

    if watch and (what or probe or urls):
        raise UsageError(
            "cannot combine --watch with WHAT, --probe or --url: it shows changes of all ports",
            hint="run it without WHAT, --probe and --url",
        )
    session = _session("ports", as_json=as_json)
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


def _session(name: str, *, as_json: bool) -> Session:
    """Return the session of a command; `name` is the name of its JSON document."""
    from k3s_rootless.cli.session import Session

    return Session.begin(name if as_json else None)
