"""What `status` saw, as JSON has it; keys are only ever added
(docs/reference/schemas/status-v1.json).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.status import parts
from k3s_rootless.operations.status.model import Seen, stale
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_BESIDE_OTHERS = 4.0
"""Seconds for each question where much else is asked at the same time."""


def read(context: Context) -> dict[str, Any]:
    """Look, and return the answer as JSON has it.

    Raises NotRunning where K3s is not installed, RootlessError.
    """
    from k3s_rootless.operations.status.look import Look

    return document(Look(context, seconds=_BESIDE_OTHERS).take())


def document(seen: Seen) -> dict[str, Any]:
    """Give all of it."""
    state, node, missing = seen.state, seen.node, seen.missing
    problem, pending = seen.problem, parts.pending(seen)
    content: dict[str, Any] = {
        "time": seen.time.isoformat(),
        "installed": True if state else None,
        "running": state.running if state else True if isinstance(seen.kit, Known) else None,
        "ready": seen.code == 0 if state else None,
        "state": seen.word,
        "unit": _unit(state, seen) if state else None,
        "release": str(seen.version) if seen.version else None,
        "releases": {
            "unit": str(seen.version) if seen.version else None,
            "installed": seen.installed.value if isinstance(seen.installed, Known) else None,
            "running": seen.running_release,
        },
        "node": node.name if node and node.ready else None,
        "node_ready_since": _iso(node.since) if node and node.ready else None,
        "phases": milestones.document(seen.milestones, state.started if state else None),
        "child_pid": seen.kit.value.child_pid or None if isinstance(seen.kit, Known) else None,
        "forwards": len(seen.kit.value.forwards) if isinstance(seen.kit, Known) else None,
        "kubeconfig": _kubeconfig(seen),
        "certificates": [_certificate(seen, *one) for one in parts.certificates(seen)],
        "lingers": seen.lingers.value if isinstance(seen.lingers, Known) else None,
        "drift": _drift(seen),
        "pending": [
            {"what": one.what, "cause": one.cause, "command": one.command} for one in pending
        ],
        "restart_needed": next((one.cause for one in pending if one.what == "restart"), None),
        "loop": _loop(seen),
        "cause": _cause(seen.died_of) if seen.died_of else None,
        "unknown": [{"part": part, "reason": reason} for part, reason in unknown(seen)],
        "errors": [problem.document()] if problem else [],
    }
    if missing and (state is None or state.running):
        content["missing"] = {"phase": missing[0], "reason": missing[1]}
    return content


def unknown(seen: Seen) -> list[tuple[str, str]]:
    """Name the parts that nobody could look at, with the reason; what a K3s that does not run
    cannot have is none of them.
    """
    looked: dict[str, object] = {
        "unit files": seen.files,
        "installed release": seen.installed,
        "lingering": seen.lingers,
        "restarts": seen.period,
        "cause": seen.cause,
    }
    if seen.state is not None and seen.state.running:
        looked["environment"] = seen.variables
    if seen.state is None or seen.state.running:
        looked |= {
            "forwards": seen.kit,
            "kubeconfig": seen.kubeconfig,
            "API server": seen.ready,
            "node": seen.nodes,
        }
    found = [(part, one.reason) for part, one in looked.items() if isinstance(one, Unknown)]
    files = seen.files.value if isinstance(seen.files, Known) else ()
    found += [("unit files", part.problem) for part in files if part.problem]
    told = parts.certificates(seen)
    unread = [
        (f"certificate of the {whose}", one.reason)
        for whose, one in told
        if isinstance(one, Unknown)
    ]
    if seen.state is not None:
        found += [("settings", problem) for problem in seen.settings.problems]
    return ([("unit", seen.problem.message)] if seen.problem else []) + found + unread


def without_usage(content: dict[str, Any]) -> str:
    """Give what of a document says that something happened: all but the time and what K3s uses."""
    kept = {name: value for name, value in content.items() if name != "time"}
    if kept["unit"]:
        kept["unit"] = {
            name: value
            for name, value in kept["unit"].items()
            if not name.startswith(("memory_", "cpu_"))
        }
    return json.dumps(kept, sort_keys=True)


def _unit(state: UnitState, seen: Seen) -> dict[str, Any]:
    return {
        "name": UNIT,
        "active_state": state.active_state,
        "sub_state": state.sub_state,
        "file_state": state.file_state,
        "fragment": str(state.fragment) if state.fragment else None,
        "drop_ins": [str(path) for path in state.drop_ins],
        "result": state.result,
        "restarts": state.restarts,
        "invocation": state.invocation or None,
        "main_pid": state.main_pid or None,
        "started": _iso(state.started),
        "changed": _iso(state.changed),
        "memory_bytes": seen.usage.memory,
        "memory_peak_bytes": seen.usage.memory_peak,
        "memory_limit_bytes": seen.usage.memory_limit,
        "cpu_seconds": seen.usage.cpu,
        "cpu_limit": seen.usage.cpu_limit,
    }


def _kubeconfig(seen: Seen) -> dict[str, Any]:
    found = seen.kubeconfig.value if isinstance(seen.kubeconfig, Known) else None
    return {
        "path": str(seen.settings.kubeconfig),
        "written": _iso(found.modified) if found else None,
        "mode": f"{found.mode:04o}" if found else None,
        "of_this_start": not stale(found, seen.state)
        if found and seen.state and seen.state.started
        else None,
    }


def _certificate(seen: Seen, whose: str, until: Known[datetime] | Unknown) -> dict[str, Any]:
    end = until.value if isinstance(until, Known) else None
    return {"of": whose, "until": _iso(end), "expired": end <= seen.time if end else None}


def _drift(seen: Seen) -> list[dict[str, Any]]:
    files = seen.files.value if isinstance(seen.files, Known) else ()
    return [
        {
            "path": str(part.path),
            "author": part.author.name.lower() if part.author else None,
            "reason": part.problem,
        }
        for part in files
    ]


def _loop(seen: Seen) -> dict[str, Any] | None:
    loop = seen.loop
    if loop is None:
        return None
    return {"restarts": loop.restarts, "seconds_between_restarts": loop.period, "over": loop.over}


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "id": cause.id,
        "check": cause.check or None,
        "title": cause.title,
        "line": cause.line,
        "time": _iso(cause.time),
        "earlier": cause.earlier,
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
