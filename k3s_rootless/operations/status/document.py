"""The JSON document of `status` (docs/reference/schemas/status-v1.json).

New versions only add keys.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from k3s_rootless.observation import Known, value_or
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.status.look import Look
from k3s_rootless.operations.status.model import READY, Certificate, Seen
from k3s_rootless.paths import UNIT
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.unit.pending_changes import Part

_BESIDE_OTHERS = 4.0
"""The time limit of each query in seconds, if many other queries run at the same time."""


def read(context: Context) -> dict[str, Any]:
    """Check K3s once, and return the document.

    Raises NotRunning if K3s is not installed, RootlessError.
    """
    return document(Look(context, seconds=_BESIDE_OTHERS).take())


def document(seen: Seen) -> dict[str, Any]:
    """Return the document."""
    content: dict[str, Any] = {
        "time": seen.time.isoformat(),
        **_state(seen),
        "unit": _unit(seen),
        **_releases(seen),
        **_node(seen),
        "phases": milestones.document(seen.milestones, _started(seen)),
        **_kit(seen),
        "kubeconfig": _kubeconfig(seen),
        "certificates": [_certificate(seen, one) for one in seen.certificates],
        "lingers": value_or(seen.lingers, None),
        "drift": [_drift(file) for file in value_or(seen.files, ())],
        **_pending(seen),
        "loop": _loop(seen),
        "cause": _cause(seen.died_of),
        "unknown": [{"part": part, "reason": reason} for part, reason in seen.unknown],
        "errors": [] if seen.problem is None else [seen.problem.document()],
    }
    missing = seen.missing
    if missing is not None:
        content["missing"] = {"phase": missing.phase, "reason": missing.reason}
    return content


def absence(error: NotRunning) -> dict[str, Any]:
    """Return the document of a watch if there is no unit."""
    return {"installed": False, "errors": [error.document()]}


def without_usage(content: dict[str, Any]) -> str:
    """Return the document as text, without the time and the resource usage of K3s.

    If two of these texts differ, there was an event.
    """
    kept = {name: value for name, value in content.items() if name != "time"}
    if kept["unit"]:
        kept["unit"] = {
            name: value
            for name, value in kept["unit"].items()
            if not name.startswith(("memory_", "cpu_"))
        }
    return json.dumps(kept, sort_keys=True)


def _state(seen: Seen) -> dict[str, Any]:
    if seen.state is None:
        # Without the unit, only an answer from rootlesskit shows that K3s runs.
        running = True if isinstance(seen.kit, Known) else None
        return {"installed": None, "running": running, "ready": None, "state": seen.word}
    return {
        "installed": True,
        "running": seen.state.running,
        "ready": seen.code == READY,
        "state": seen.word,
    }


def _unit(seen: Seen) -> dict[str, Any] | None:
    state = seen.state
    if state is None:
        return None
    return {
        "name": UNIT,
        "active_state": state.active_state,
        "sub_state": state.sub_state,
        "file_state": state.file_state,
        "fragment": _text(state.fragment),
        "drop_ins": [str(path) for path in state.drop_ins],
        "result": state.result,
        "restarts": state.restarts,
        "invocation": state.invocation or None,
        "main_pid": state.main_pid or None,
        "started": json_time(state.started),
        "changed": json_time(state.changed),
        "memory_bytes": seen.usage.memory,
        "memory_peak_bytes": seen.usage.memory_peak,
        "memory_limit_bytes": seen.usage.memory_limit,
        "cpu_seconds": seen.usage.cpu,
        "cpu_limit": seen.usage.cpu_limit,
    }


def _releases(seen: Seen) -> dict[str, Any]:
    of_unit = _text(seen.version)
    installed = value_or(seen.installed, None)
    return {
        "release": of_unit,
        "releases": {
            "unit": of_unit,
            "installed": installed,
            "running": seen.running_release,
        },
    }


def _node(seen: Seen) -> dict[str, Any]:
    node = seen.ready_node
    if node is None:
        return {"node": None, "node_ready_since": None}
    return {"node": node.name, "node_ready_since": json_time(node.since)}


def _kit(seen: Seen) -> dict[str, Any]:
    kit = value_or(seen.kit, None)
    if kit is None:
        return {"child_pid": None, "forwards": None}
    return {"child_pid": kit.child_pid or None, "forwards": len(kit.forwards)}


def _kubeconfig(seen: Seen) -> dict[str, Any]:
    content: dict[str, Any] = {
        "path": str(seen.settings.kubeconfig),
        "written": None,
        "mode": None,
        "of_this_start": None,
    }
    found = value_or(seen.kubeconfig, None)
    if found is None:
        return content
    content["written"] = json_time(found.modified)
    content["mode"] = f"{found.mode:04o}"
    if _started(seen) is not None:
        content["of_this_start"] = not seen.stale_kubeconfig
    return content


def _certificate(seen: Seen, certificate: Certificate) -> dict[str, Any]:
    end = value_or(certificate.until, None)
    expired = None if end is None else end <= seen.time
    return {"of": certificate.owner, "until": json_time(end), "expired": expired}


def _drift(file: Part) -> dict[str, Any]:
    author = None if file.author is None else file.author.name.lower()
    return {"path": str(file.path), "author": author, "reason": file.problem}


def _pending(seen: Seen) -> dict[str, Any]:
    restarts = (one.cause for one in seen.pending if one.what == "restart")
    return {
        "pending": [
            {"what": one.what, "cause": one.cause, "command": one.command} for one in seen.pending
        ],
        "restart_needed": next(restarts, None),
    }


def _loop(seen: Seen) -> dict[str, Any] | None:
    loop = seen.loop
    if loop is None:
        return None
    return {"restarts": loop.restarts, "seconds_between_restarts": loop.period, "over": loop.over}


def _cause(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {
        "id": cause.id,
        "check": cause.check or None,
        "title": cause.title,
        "line": cause.line,
        "time": json_time(cause.time),
        "earlier": cause.earlier,
    }


def _started(seen: Seen) -> datetime | None:
    return None if seen.state is None else seen.state.started


def _text(value: object) -> str | None:
    return None if value is None else str(value)
