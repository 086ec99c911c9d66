"""`k3s-rootless status`: what runs, how far it is, and since when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.release.version import Version
    from k3s_rootless.service.facts import UnitState


@click.command("status")
@json_option
def command(*, as_json: bool) -> None:
    """Tell whether K3s runs and is ready.

    Exit codes: 0 ready, 1 failed, 3 not installed or not running, 4 running and not ready.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.cli.start import Start
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.readiness import first_missing

    session = Session.of("status" if as_json else None)
    with session.manager() as manager:
        state = manager.unit(UNIT)
    if not state.installed:
        raise absence(state)
    version = unit_version(state.fragment)
    start = Start.of(session, state, version)
    missing = first_missing(start.phases()) if state.running else None
    code = 1 if state.dead else 3 if not state.running else 4 if missing else 0
    word = {0: "ready", 1: "failed", 3: "not running", 4: "running, not ready"}[code]
    session.report.answer(f"K3s        {word}" + (f": {missing[0].name}: {missing[1]}" if missing else ""))
    session.report.answer(
        f"unit       {state.active_state} ({state.sub_state}), {state.file_state or 'not enabled'}{_age(state)}"
    )
    session.report.answer(f"release    {version or 'unknown'}")
    session.report.answer(
        f"restarts   {state.restarts}" + (f", last result {state.result}" if state.result != "success" else "")
    )
    if start.node:
        session.report.answer(f"node       {start.node}, ready")
    if state.memory is not None:
        session.report.answer(f"memory     {state.memory / 2**20:.0f} MiB")
    session.report.document(
        {**_document(state, version), "ready": code == 0, "state": word, "node": start.node or None, "errors": []}
        | ({"missing": {"phase": missing[0].name, "reason": missing[1]}} if missing else {})
    )
    if code == 1:
        _tell_cause(session, state)
    click.get_current_context().exit(code)


def unit_version(fragment: Path | None) -> Version | None:
    """Give the release that the unit was written for, by its own words; None for a unit that does not say."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.release import version
    from k3s_rootless.service import apply, unit

    try:
        text = apply.read(fragment)[0] if fragment else None
    except RootlessError:
        return None
    return version.parse(unit.written_for(text) or "") if text else None


def absence(state: UnitState) -> NotRunning:
    """Give the error for a unit that there is none of."""
    from k3s_rootless.errors import NotRunning

    if state.load_state == "masked":
        return NotRunning(f"`{state.name}` is masked, so nothing can start it", hint=f"systemctl --user unmask {state.name}")
    return NotRunning("K3s is not installed for this user", hint="install and start it with: k3s-rootless up")


def _tell_cause(session: Session, state: UnitState) -> None:
    from k3s_rootless.cli import follow

    error = follow.death(session, state, state.invocation, "in its last start")
    session.report.story(f"\n{error.message}\n\n{error.hint}")


def _age(state: UnitState) -> str:
    if state.started is None or not state.running:
        return ""
    seconds = max(0, int((datetime.now(UTC) - state.started).total_seconds()))
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f", since {seconds // length} {name}"
    return f", since {seconds} s"


def _document(state: UnitState, version: Version | None) -> dict[str, object]:
    return {
        "installed": True,
        "running": state.running,
        "unit": {
            "name": state.name,
            "active_state": state.active_state,
            "sub_state": state.sub_state,
            "file_state": state.file_state,
            "fragment": str(state.fragment) if state.fragment else None,
            "drop_ins": [str(path) for path in state.drop_ins],
            "result": state.result,
            "restarts": state.restarts,
            "invocation": state.invocation or None,
            "main_pid": state.main_pid or None,
            "started": state.started.isoformat() if state.started else None,
            "memory_bytes": state.memory,
            "cpu_seconds": state.cpu,
        },
        "release": str(version) if version else None,
    }
