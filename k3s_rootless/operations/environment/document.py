"""The JSON documents of the `env` commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.environment import reading, surroundings
from k3s_rootless.service.environment.variables import VARIABLES, Judgement

if TYPE_CHECKING:
    from k3s_rootless.operations.environment.change import Changed, ChangedVariable
    from k3s_rootless.operations.environment.reading import ObservedEnvironment
    from k3s_rootless.service.environment.precedence import Layer
    from k3s_rootless.service.environment.variables import Surroundings


def document(seen: ObservedEnvironment, around: Surroundings, *, reveal: bool) -> dict[str, Any]:
    """Return the document of `list`; `reveal` shows passwords in addresses."""
    unknown_running = None
    if seen.state.running and isinstance(seen.running, Unknown):
        unknown_running = seen.running.reason
    return {
        "installed": seen.state.installed,
        "running": seen.state.running,
        "release": str(seen.version) if seen.version else None,
        "variables": [row(seen, around, name, reveal=reveal) for name in seen.rows()],
        "unexpected": list(seen.unexpected()),
        "pending": _pending(seen),
        "unknown_running": unknown_running,
        "errors": [],
    }


def row(
    seen: ObservedEnvironment, around: Surroundings, name: str, *, reveal: bool
) -> dict[str, Any]:
    """Return what is known about one variable; `reveal` shows passwords in addresses."""
    resolved = seen.resolved(name)
    variable = VARIABLES.get(name)
    judged = surroundings.judged(name, resolved.value, around)
    value = reading.shown(name, resolved.value, reveal=reveal)
    started_with = None
    restart_needed = False
    if isinstance(seen.running, Known):
        started_with = seen.running.value.get(name)
        restart_needed = not resolved.doubt and (resolved.value or "") != (started_with or "")
    return {
        "name": name,
        "value": value,
        "set": resolved.value is not None,
        "redacted": value != resolved.value,
        "default": variable.default if variable else None,
        "origin": resolved.last.origin.value,
        "path": _path(resolved.last),
        "ours": resolved.last.path == seen.own_path,
        "sources": [
            {
                "origin": layer.origin.value,
                "path": _path(layer),
                "value": reading.shown(name, layer.value, reveal=reveal),
            }
            for layer in resolved.layers
        ],
        "effect": judged.effect.value,
        "reason": judged.reason,
        "warnings": list(judged.warnings),
        "doubt": resolved.doubt,
        "started_with": reading.shown(name, started_with, reveal=reveal),
        "restart_needed": restart_needed,
    }


def change_document(done: Changed) -> dict[str, Any]:
    """Return the document of `set` and `unset`."""
    return {
        "changed": done.changed,
        "runtime": done.runtime,
        "file": None if done.runtime else str(done.after.own_path),
        "verified": done.runtime or done.after.state.fragment is not None,
        "variables": [_changed_row(one) for one in done.variables],
        "pending": _pending(done.after),
        "errors": [],
    }


def _pending(seen: ObservedEnvironment) -> list[str] | None:
    found = seen.pending()
    return None if found is None else list(found)


def _changed_row(one: ChangedVariable) -> dict[str, Any]:
    judged = one.judgement or Judgement()
    return {
        "name": one.name,
        "value": reading.shown(one.name, one.resolved.value, reveal=False),
        "origin": one.resolved.last.origin.value,
        "path": _path(one.resolved.last),
        "shadowed_by": one.above[-1].place if one.above else None,
        "effect": one.judgement.effect.value if one.judgement else None,
        "reason": judged.reason,
        "warnings": list(judged.warnings),
    }


def _path(layer: Layer) -> str | None:
    return str(layer.path) if layer.path else None
