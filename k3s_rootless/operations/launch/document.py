"""The JSON documents of the commands that start, stop and install K3s (docs/reference/json.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.service.plan import steps

if TYPE_CHECKING:
    from k3s_rootless.operations.install import Installed
    from k3s_rootless.operations.launch.sequence import Plan
    from k3s_rootless.operations.launch.started import Started
    from k3s_rootless.operations.stop import Stopped


def of_plan(plan: Plan) -> dict[str, Any]:
    """Return the document of `up --dry-run`."""
    return {
        "dry_run": True,
        "steps": [steps.document(step) for step in plan.steps],
        "restart": plan.outage.document() if plan.outage else None,
        "errors": [],
    }


def of_up(started: Started) -> dict[str, Any]:
    """Return the document of `up`."""
    return {
        "changed": bool(started.steps),
        "ready": started.ready,
        "seconds": round(started.seconds, 3),
        "steps": [steps.document(step) for step in started.steps],
        "phases": _phases(started),
        "restart_needed": started.restart_needed,
        "errors": [],
    }


def of_restart(started: Started) -> dict[str, Any]:
    """Return the document of `restart`."""
    return {
        "ready": started.ready,
        "seconds": round(started.seconds, 3),
        "phases": _phases(started),
        "errors": [],
    }


def of_stop(stopped: Stopped) -> dict[str, Any]:
    """Return the document of `down`."""
    return {
        "changed": bool(stopped.steps),
        "active": stopped.state.active_state,
        "enabled": stopped.enabled,
        "errors": [],
    }


def of_install(installed: Installed) -> dict[str, Any]:
    """Return the document of `install`."""
    return {
        "changed": bool(installed.steps),
        "unit": str(installed.desired.path),
        "release": installed.desired.version,
        "enabled": installed.state.file_state == "enabled",
        "steps": [steps.document(step) for step in installed.steps],
        "errors": [],
    }


def of_lingering(*, lingers: bool) -> dict[str, Any]:
    """Return the document of `linger`."""
    return {"lingers": lingers, "errors": []}


def _phases(started: Started) -> list[dict[str, Any]]:
    return [one.document() for one in started.reached or ()]
