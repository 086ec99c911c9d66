"""`k3s-rootless ports`: which host port reaches what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option
from k3s_rootless.cli.ports_plan import command as plan

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.observation import Observed
    from k3s_rootless.ports.facts import Exposure, PortMap, Sources
    from k3s_rootless.ports.rules.explain import Question


class Ports(click.Command):
    """A command that takes names, and a subcommand: the first word `plan` is that; a Service of the
    name is `default/plan`.
    """

    subcommands = (plan,)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 (click's signature)
    ) -> click.Context:
        """Make the context of the subcommand where one is named."""
        for one in self.subcommands:
            if args and args[0] == one.name:
                return one.make_context(f"{info_name} {one.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """List the subcommands, as a group does."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one.name or "", one.get_short_help_str(200)) for one in self.subcommands]
            )


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 (click's signature)
    return [name for one in Ports.subcommands if (name := one.name or "").startswith(incomplete)]


@click.command("ports", cls=Ports)
@click.argument("what", nargs=-1, shell_complete=_complete)
@click.option("--all", "everything", is_flag=True, help="Show also what is not forwarded, and why.")
@click.option("--probe", is_flag=True, help="Connect through each forward, from this host.")
@click.option("--url", "urls", is_flag=True, help="Print just the URLs.")
@click.option("--watch", is_flag=True, help="Go on, and show each change within a second.")
@json_option
def command(
    *, what: tuple[str, ...], everything: bool, probe: bool, urls: bool, watch: bool, as_json: bool
) -> None:
    """Show which port of this host reaches which Service.

    K3s adds 10000 to the ports of Services up to and including 1024, so that no privilege is
    needed. The port of its API server stays.

    WHAT is a port (80, 10080) or a Service (web, default/web, web:http), which is explained in
    full.

    Exit codes: 0 shown, 1 WHAT is nothing that is known, or a probe failed, 3 K3s is not running, 4
    K3s is starting, or neither its forwards nor its Services can be read.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import UsageError
    from k3s_rootless.operations.ports import look

    if watch and (what or probe or urls):
        raise UsageError(
            "cannot watch one thing: --watch shows changes of all ports",
            hint="leave out WHAT, --probe and --url",
        )
    session = Session.begin("ports" if as_json else None)
    asked = _questions(what)
    if watch:
        from k3s_rootless.cli import ports_watch

        ports_watch.run(session, everything=everything)
        return
    found, sources = look.look(session, everything=everything or bool(what), probe=probe)
    code = _answer(session, found, sources, asked, urls=urls)
    failed = probe and any(row.probe and row.probe.well is False for row in found.rows)
    click.get_current_context().exit(1 if failed else code)


def _answer(
    session: Session, found: PortMap, sources: Sources, asked: Sequence[Question], *, urls: bool
) -> int:
    from k3s_rootless.cli.display import ports
    from k3s_rootless.operations.ports import document as ports_document
    from k3s_rootless.operations.ports import sources as ports_sources
    from k3s_rootless.ports.rules import advice

    addresses = ports_sources.addresses()
    about = _about(found, asked) if asked else {}
    code = _refuse_unknown(found, about)
    rows: Sequence[Exposure] = (
        tuple(dict.fromkeys(row for group in about.values() for row in group))
        if asked
        else found.rows
    )
    for note in ports.unread(found, ports_document.blind(found, addresses)):
        session.report.story(note)
    if urls:
        if found.starting:
            session.report.story("K3s is starting; no port is forwarded yet")
        for row in rows:
            if advice.is_reached(row):
                session.report.verbatim(row.url)
    elif asked:
        _explain(session, about, sources, addresses)
    elif session.report.json_for is None:
        ports.table(session.report, rows, addresses)
    session.report.document(ports_document.document(found, rows, addresses))
    return 4 if code == 0 and _is_unready(found) else code


def _is_unready(found: PortMap) -> bool:
    """Return whether K3s is starting, or what it forwards cannot be read at all."""
    return found.starting or {"rootlesskit", "services"} <= dict(found.blind).keys()


def _questions(what: Sequence[str]) -> tuple[Question, ...]:
    if not what:
        return ()
    from k3s_rootless.ports.rules.explain import Question

    return tuple(map(Question.of, what))


def _about(found: PortMap, asked: Sequence[Question]) -> dict[Question, tuple[Exposure, ...]]:
    from k3s_rootless.ports.rules import explain

    return {question: explain.find(found.rows, question) for question in asked}


def _refuse_unknown(found: PortMap, about: dict[Question, tuple[Exposure, ...]]) -> int:
    from k3s_rootless.errors import NotReady, RootlessError

    unknown = [question for question, rows in about.items() if not rows and question.number is None]
    if not unknown:
        return 0 if all(about.values()) else 1
    names = sorted({f"{row.namespace}/{row.service}" for row in found.rows if row.service})
    seen = f"there are: {', '.join(names[:12])}" if names else "the cluster has none"
    services = dict(found.blind).get("services")
    said = ", ".join(f"`{question.text}`" for question in unknown)
    if found.starting:
        raise NotReady(
            f"cannot look up {said}: K3s is starting, and its Services are not known yet",
            hint="see how far it is: k3s-rootless status",
        )
    if services:
        raise RootlessError(
            f"cannot tell what {said} is: {services}",
            hint="ask for a port's number, or see: k3s-rootless status",
        )
    raise RootlessError(
        f"no Service and no port is called {said}",
        hint=f"{seen}; see them with: k3s-rootless ports --all",
    )


def _explain(
    session: Session,
    about: dict[Question, tuple[Exposure, ...]],
    sources: Sources,
    addresses: Observed[tuple[Address, ...]],
) -> None:
    from k3s_rootless.cli.display import ports
    from k3s_rootless.observation import Known
    from k3s_rootless.operations.ports import sources as ports_sources
    from k3s_rootless.ports.rules import reasons

    listeners = sources.listeners.value if isinstance(sources.listeners, Known) else ()
    for question, rows in about.items():
        if rows:
            ports.explanation(session.report, rows, question, addresses)
            continue
        there = [one for one in listeners if one.port == question.number]
        held = ports_sources.whose(there, session.uid).values()
        ports.nothing(
            session.report, question, ", ".join(reasons.described(one, session.uid) for one in held)
        )
