"""`k3s-rootless ports`: which host port reaches what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.cli.session import Session
    from k3s_rootless.cli.start import Start
    from k3s_rootless.observation import Observed
    from k3s_rootless.ports.facts import Exposure, PortMap

T = TypeVar("T")
ASK_SECONDS = 5.0


@click.command("ports")
@json_option
def command(*, as_json: bool) -> None:
    """Show which port of this host reaches which Service.

    K3s adds 10000 to the ports of Services up to and including 1024, so that no privilege is needed. The port of
    its API server stays.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.cli.start import Start
    from k3s_rootless.cli.status import unit_version
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.paths import UNIT

    session = Session.of("ports" if as_json else None)
    with session.manager() as manager:
        state = manager.unit(UNIT)
    if not state.running:
        raise NotRunning("K3s is not running, so nothing is forwarded", hint="start it with: k3s-rootless up")
    found = _join(Start.of(session, state, unit_version(state.fragment)))
    session.report.table(("HOST PORT", "CHILD PORT", "OFFSET", "PROTOCOL", "REACHES", "VERDICT"), map(_row, found.rows))
    for row in found.rows:
        if row.reason:
            session.report.answer(f"  {row.parent_port}/{row.proto}: {row.reason}")
    _notes(session, found)
    session.report.document(
        {
            "ports": [_document(row) for row in found.rows],
            "internal_services": found.internal,
            "unknown_sources": [{"source": name, "reason": reason} for name, reason in found.blind],
            "errors": [],
        }
    )


def _join(start: Start) -> PortMap:
    from concurrent.futures import ThreadPoolExecutor

    from k3s_rootless.ports import exposure, rootlesskit, services, sockets

    with ThreadPoolExecutor(3) as together:
        forwards = together.submit(_asked, lambda: rootlesskit.forwards(start.find_rootlesskit(), ASK_SECONDS), "rootlesskit")
        listed = together.submit(_asked, lambda: services.service_ports(start.find_api(), ASK_SECONDS), "the API server")
        listeners = together.submit(_asked, lambda: sockets.listeners(ASK_SECONDS), "the kernel's socket tables")
        return exposure.join(
            forwards.result(), listed.result(), listeners.result(), start.settings, start.version, uid=start.uid
        )


def _asked(ask: Callable[[], T], source: str) -> Observed[T]:
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.observation import Known, Unknown

    try:
        return Known(ask(), source)
    except RootlessError as error:
        return Unknown(error.message)


def _row(row: Exposure) -> tuple[str, ...]:
    offset = f"+{row.offset}" if row.offset else ""
    return (str(row.parent_port), str(row.child_port), offset, row.proto, row.target or "unknown", row.verdict.value)


def _notes(session: Session, found: PortMap) -> None:
    if any(row.offset for row in found.rows):
        session.report.answer(
            "\nK3s adds 10000 to ports up to and including 1024: what a Service calls 80 is 10080 of this host."
        )
    if any(row.forwarded and not row.parent_ip for row in found.rows):
        session.report.answer("Forwards listen on all addresses of this host: whoever reaches it reaches them.")
    for source, reason in found.blind:
        session.report.story(f"could not ask {source}: {reason}")


def _document(row: Exposure) -> dict[str, Any]:
    return {
        "protocol": row.proto,
        "parent_ip": row.parent_ip or None,
        "parent_port": row.parent_port,
        "child_port": row.child_port,
        "offset": row.offset,
        "kind": row.kind.value,
        "namespace": row.namespace or None,
        "service": row.service or None,
        "port_name": row.port_name or None,
        "target": row.target or None,
        "forwarded": row.forwarded,
        "listening": row.listening,
        "verdict": row.verdict.value,
        "reason": row.reason,
        "explanation": row.explanation,
    }


def document(session: Session) -> dict[str, Any]:
    """Give the answer as JSON has it; says nothing. Raises NotRunning, RootlessError."""
    from k3s_rootless.cli.start import Start
    from k3s_rootless.cli.status import unit_version
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.paths import UNIT

    with session.manager() as manager:
        state = manager.unit(UNIT)
    if not state.running:
        raise NotRunning("K3s is not running, so nothing is forwarded", hint="start it with: k3s-rootless up")
    found = _join(Start.of(session, state, unit_version(state.fragment)))
    return {
        "ports": [_document(row) for row in found.rows],
        "internal_services": found.internal,
        "unknown_sources": [{"source": name, "reason": reason} for name, reason in found.blind],
        "errors": [],
    }
