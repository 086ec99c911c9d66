"""`k3s-rootless status`: what runs, how far it is, and since when."""

from __future__ import annotations

from dataclasses import dataclass
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
    from k3s_rootless.cli import environment
    from k3s_rootless.cli.session import Session

    session = Session.of("status" if as_json else None)
    found = _look(session)
    state, missing = found.state, found.missing
    session.report.answer(f"K3s        {found.word}" + (f": {missing[0]}: {missing[1]}" if missing else ""))
    session.report.answer(
        f"unit       {state.active_state} ({state.sub_state}), {state.file_state or 'not enabled'}{_age(state)}"
    )
    session.report.answer(f"release    {found.version or 'unknown'}")
    session.report.answer(
        f"restarts   {state.restarts}" + (f", last result {state.result}" if state.result != "success" else "")
    )
    if found.node:
        session.report.answer(f"node       {found.node}, ready")
    if owed := environment.restart_owed(found.pending):
        session.report.answer(f"pending    {owed}")
    if state.memory is not None:
        session.report.answer(f"memory     {state.memory / 2**20:.0f} MiB")
    session.report.document(_document(found))
    if found.code == 1:
        _tell_cause(session, state)
    click.get_current_context().exit(found.code)


@dataclass(frozen=True, slots=True)
class _Found:
    state: UnitState
    version: Version | None
    missing: tuple[str, str] | None
    node: str
    pending: tuple[str, ...] | None

    @property
    def code(self) -> int:
        return 1 if self.state.dead else 3 if not self.state.running else 4 if self.missing else 0

    @property
    def word(self) -> str:
        return {0: "ready", 1: "failed", 3: "not running", 4: "running, not ready"}[self.code]


def document(session: Session) -> dict[str, object]:
    """Give the answer as JSON has it; says nothing. Raises NotRunning where K3s is not installed, RootlessError."""
    return _document(_look(session))


def _look(session: Session) -> _Found:
    from k3s_rootless.cli import environment
    from k3s_rootless.cli.start import Start
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.readiness import first_missing

    with session.manager() as manager:
        state = manager.unit(UNIT)
        pending = environment.pending(manager, state)
    if not state.installed:
        raise absence(state)
    version = unit_version(state.fragment)
    start = Start.of(session, state, version)
    missing = first_missing(start.phases()) if state.running else None
    return _Found(state, version, (missing[0].name, missing[1]) if missing else None, start.node, pending)


def unit_version(fragment: Path | None) -> Version | None:
    """Give the release that the unit was written for, by its own words; None for a unit that does not say."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.release import version
    from k3s_rootless.service import files, unit

    try:
        text = files.read(fragment).text if fragment else None
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


def _document(found: _Found) -> dict[str, object]:
    state = found.state
    content: dict[str, object] = {
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
        "release": str(found.version) if found.version else None,
        "ready": found.code == 0,
        "state": found.word,
        "node": found.node or None,
        "pending": None if found.pending is None else list(found.pending),
        "errors": [],
    }
    if found.missing:
        content["missing"] = {"phase": found.missing[0], "reason": found.missing[1]}
    return content
