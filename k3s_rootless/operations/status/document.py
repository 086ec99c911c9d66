"""The JSON document of `status` (docs/reference/schemas/status-v1.json).

New versions only add keys.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from k3s_rootless.observation import Known, value_or
from k3s_rootless.operations.backup import age
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.status.model import READY, Certificate, Snapshot
from k3s_rootless.operations.status.reader import Reader
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.unit.pending_changes import Part

_SECONDS_IN_BUNDLE = 4.0
"""The time limit of each query in seconds, if many other queries run at the same time."""


def read(context: Context) -> dict[str, Any]:
    """Check K3s once, and return the document.

    Raises NotRunning if K3s is not installed, RootlessError.
    """
    return document(Reader(context, seconds=_SECONDS_IN_BUNDLE).read())


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return the document."""
    content: dict[str, Any] = {
        "time": snapshot.time.isoformat(),
        **_state(snapshot),
        "unit": _unit(snapshot),
        **_releases(snapshot),
        **_node(snapshot),
        "phases": milestones.document(snapshot.milestones, _started(snapshot)),
        **_kit(snapshot),
        "kubeconfig": _kubeconfig(snapshot),
        "certificates": [_certificate(snapshot, one) for one in snapshot.certificates],
        "lingers": value_or(snapshot.lingers, None),
        "unfinished": _unfinished(snapshot),
        "backup": _backup(snapshot),
        "drift": [_drift(file) for file in value_or(snapshot.files, ())],
        **_pending(snapshot),
        "loop": _loop(snapshot),
        "cause": _cause(snapshot.failure_cause),
        "unknown": [{"part": part, "reason": reason} for part, reason in snapshot.unknown],
        "errors": [] if snapshot.problem is None else [snapshot.problem.document()],
    }
    missing = snapshot.missing
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


def _state(snapshot: Snapshot) -> dict[str, Any]:
    if snapshot.state is None:
        # Without the unit, only an answer from rootlesskit shows that K3s runs.
        running = True if isinstance(snapshot.kit, Known) else None
        return {
            "installed": None,
            "running": running,
            "ready": None,
            "state": snapshot.overall_state,
        }
    return {
        "installed": True,
        "running": snapshot.state.running,
        "ready": snapshot.code == READY,
        "state": snapshot.overall_state,
    }


def _unit(snapshot: Snapshot) -> dict[str, Any] | None:
    state = snapshot.state
    if state is None:
        return None
    return {
        "name": state.name,
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
        "memory_bytes": snapshot.usage.memory,
        "memory_peak_bytes": snapshot.usage.memory_peak,
        "memory_limit_bytes": snapshot.usage.memory_limit,
        "cpu_seconds": snapshot.usage.cpu,
        "cpu_limit": snapshot.usage.cpu_limit,
    }


def _releases(snapshot: Snapshot) -> dict[str, Any]:
    of_unit = _text(snapshot.version)
    installed = value_or(snapshot.installed, None)
    return {
        "release": of_unit,
        "releases": {
            "unit": of_unit,
            "installed": installed,
            "running": snapshot.running_release,
        },
    }


def _node(snapshot: Snapshot) -> dict[str, Any]:
    node = snapshot.ready_node
    if node is None:
        return {"node": None, "node_ready_since": None}
    return {"node": node.name, "node_ready_since": json_time(node.since)}


def _kit(snapshot: Snapshot) -> dict[str, Any]:
    kit = value_or(snapshot.kit, None)
    if kit is None:
        return {"child_pid": None, "forwards": None}
    return {"child_pid": kit.child_pid or None, "forwards": len(kit.forwards)}


def _kubeconfig(snapshot: Snapshot) -> dict[str, Any]:
    content: dict[str, Any] = {
        "path": str(snapshot.settings.kubeconfig),
        "written": None,
        "mode": None,
        "of_this_start": None,
    }
    found = value_or(snapshot.kubeconfig, None)
    if found is None:
        return content
    content["written"] = json_time(found.modified)
    content["mode"] = f"{found.mode:04o}"
    if _started(snapshot) is not None:
        content["of_this_start"] = not snapshot.stale_kubeconfig
    return content


def _certificate(snapshot: Snapshot, certificate: Certificate) -> dict[str, Any]:
    end = value_or(certificate.until, None)
    expired = None if end is None else end <= snapshot.time
    return {"of": certificate.owner, "until": json_time(end), "expired": expired}


def _drift(file: Part) -> dict[str, Any]:
    author = None if file.author is None else file.author.name.lower()
    return {"path": str(file.path), "author": author, "reason": file.problem}


def _pending(snapshot: Snapshot) -> dict[str, Any]:
    restarts = (one.cause for one in snapshot.pending if one.what == "restart")
    return {
        "pending": [
            {"what": one.what, "cause": one.cause, "command": one.command}
            for one in snapshot.pending
        ],
        "restart_needed": next(restarts, None),
    }


def _unfinished(snapshot: Snapshot) -> dict[str, Any] | None:
    found = value_or(snapshot.unfinished, None)
    if found is None:
        return None
    return found.document()


def _backup(snapshot: Snapshot) -> dict[str, Any] | None:
    found = value_or(snapshot.backups, None)
    if found is None:
        return None
    return age.document(found)


def _loop(snapshot: Snapshot) -> dict[str, Any] | None:
    loop = snapshot.loop
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


def _started(snapshot: Snapshot) -> datetime | None:
    return None if snapshot.state is None else snapshot.state.started


def _text(value: object) -> str | None:
    return None if value is None else str(value)
