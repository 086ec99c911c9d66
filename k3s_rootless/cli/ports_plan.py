"""`k3s-rootless ports plan`: which host ports manifests would get, before they are applied."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cli.session import Session
    from k3s_rootless.ports.facts import Exposure, Sources
    from k3s_rootless.ports.rules.exposure import Running

_WORDS = {"forwarded": "free", "not-forwarded": "not forwarded"}
_HEAD = ("HOST PORT", "OFFSET", "PROTOCOL", "SERVICE", "NAME", "VERDICT", "URL")


@click.command("plan")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="For what names no namespace."
)
@json_option
def command(*, files: tuple[str, ...], namespace: str, as_json: bool) -> None:
    """Tell which host ports the Services of manifests would get.

    Names every conflict with this host and this cluster before anything is applied. `-` reads
    standard input.

    Exit codes: 0 all are free, 1 there are conflicts.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.ports.rules import prediction
    from k3s_rootless.ports.sources import manifests

    session = Session.begin("ports-plan" if as_json else None)
    found = manifests.Manifests(namespace)
    for path in files:
        found.read(path, sys.stdin.buffer)
    sources, running = _look(session)
    rows = prediction.predict(found.services, found.pods, sources, running)
    conflicts = [row for row in rows if row.verdict.value == "fail"]
    if not rows:
        session.report.story(f"no Service with a port among {found.objects} objects")
    _show(session.report, rows)
    session.report.document(
        {
            "ports": [_document(row) for row in rows],
            "conflicts": len(conflicts),
            "objects": found.objects,
            "unknown_sources": [
                {"source": name, "reason": reason} for name, reason in _blind(session, sources)
            ],
            "errors": [],
        }
    )
    click.get_current_context().exit(1 if conflicts else 0)


def _look(session: Session) -> tuple[Sources, Running]:
    """Ask the sources; without a K3s that runs, the sockets of the host still tell of conflicts."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.linux import sockets
    from k3s_rootless.observation import Unknown
    from k3s_rootless.operations import server_settings
    from k3s_rootless.operations.ports import sources as ports_sources
    from k3s_rootless.operations.readiness.conditions import Start
    from k3s_rootless.paths import UNIT
    from k3s_rootless.ports.facts import Sources
    from k3s_rootless.ports.rules.exposure import Running
    from k3s_rootless.service.observe.files import release_of

    try:
        state = session.unit(UNIT)
        start = Start.of(session, state, release_of(state.fragment))
        running = ports_sources.running(start)
        if state.running:
            sources = ports_sources.ask(start)
            return _named(sources, running), running
        why = ports_sources.NOT_RUNNING
    except RootlessError as error:
        running, why = (
            Running(server_settings.of_next_start(session, None), None, session.uid),
            error.message,
        )
    nothing = Unknown(why)
    sources = Sources(
        nothing,
        nothing,
        ports_sources.ask_host(),
        nothing,
        unprivileged_from=sockets.unprivileged_from(),
    )
    return _named(sources, running), running


def _named(sources: Sources, running: Running) -> Sources:
    from dataclasses import replace

    from k3s_rootless.observation import Known
    from k3s_rootless.operations.ports import sources as ports_sources

    # Any of them can be in the way of a Service that is not there yet.
    listeners = sources.listeners.value if isinstance(sources.listeners, Known) else ()
    return replace(sources, holders=ports_sources.whose(listeners, running.uid))


def _blind(session: Session, sources: Sources) -> list[tuple[str, str]]:
    from k3s_rootless.observation import Unknown

    named = {
        "rootlesskit": sources.forwards,
        "services": sources.services,
        "sockets": sources.listeners,
    }
    blind = [(name, one.reason) for name, one in named.items() if isinstance(one, Unknown)]
    for name, reason in blind:
        session.report.story(f"could not ask {name}: {reason}")
    return blind


def _show(report: Report, rows: tuple[Exposure, ...]) -> None:
    report.table(_HEAD, map(_cells, rows), spare=("NAME", "PROTOCOL", "OFFSET"), prose="SERVICE")
    for row in rows:
        if row.reason:
            report.answer(f"  {row.target}: {row.reason}")
    if any(row.offset and row.status.value != "not-forwarded" for row in rows):
        report.answer("\nK3s adds 10000 to ports up to and including 1024.")
    if any(row.kind.value == "service-port" and row.status.value == "forwarded" for row in rows):
        report.answer(
            "Forwards listen on all interfaces, so these face the network. nodePorts left open are"
            " K3s's choice."
        )


def _cells(row: Exposure) -> tuple[str, ...]:
    vain = row.status.value == "not-forwarded"
    return (
        "-" if vain else str(row.parent_port),
        f"+{row.offset}" if row.offset and not vain else "",
        row.proto,
        row.target,
        row.port_name,
        _WORDS.get(row.status.value, row.status.value),
        row.url if row.status.value == "forwarded" else "",
    )


def _document(row: Exposure) -> dict[str, Any]:
    from k3s_rootless.operations.ports import document

    whole = document.port(row, None)
    keys = (
        "protocol",
        "parent_port",
        "child_port",
        "offset",
        "kind",
        "namespace",
        "service",
        "port_name",
        "target",
        "verdict",
    )
    return {
        **{
            key: whole[key]
            for key in (*keys, "reason", "holder", "rivals", "url", "url_guess", "explanation")
        },
        "status": "free" if row.status.value == "forwarded" else row.status.value,
    }
