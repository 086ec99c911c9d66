"""The answer of `env list` as JSON has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.operations.environment.look import Seen
    from k3s_rootless.service.environment.variables import Surroundings


def document(seen: Seen, around: Surroundings, *, reveal: bool) -> dict[str, Any]:
    """Give the answer of `list` as JSON has it."""
    from k3s_rootless.observation import Unknown

    pending = seen.pending()
    return {
        "installed": seen.state.installed,
        "running": seen.state.running,
        "release": str(seen.version) if seen.version else None,
        "variables": [row(seen, around, name, reveal=reveal) for name in seen.rows()],
        "strange": list(seen.strange()),
        "pending": None if pending is None else list(pending),
        "unknown_running": (
            seen.running.reason
            if isinstance(seen.running, Unknown) and seen.state.running
            else None
        ),
        "errors": [],
    }


def row(seen: Seen, around: Surroundings, name: str, *, reveal: bool) -> dict[str, Any]:
    """Return what is known of one variable; `reveal` shows passwords in addresses."""
    from k3s_rootless.observation import Known
    from k3s_rootless.operations.environment import look, surroundings
    from k3s_rootless.service.environment.variables import VARIABLES

    resolved = seen.resolved(name)
    variable = VARIABLES.get(name)
    judged = surroundings.judged(name, resolved.value, around)
    known = isinstance(seen.running, Known)
    running = seen.running.value.get(name) if isinstance(seen.running, Known) else None
    value = look.shown(name, resolved.value, reveal=reveal)
    return {
        "name": name,
        "value": value,
        "set": resolved.value is not None,
        "redacted": value != resolved.value,
        "default": variable.default if variable else None,
        "origin": resolved.last.origin.value,
        "path": str(resolved.last.path) if resolved.last.path else None,
        "ours": resolved.last.path == seen.own_path,
        "sources": [
            {
                "origin": layer.origin.value,
                "path": str(layer.path) if layer.path else None,
                "value": look.shown(name, layer.value, reveal=reveal),
            }
            for layer in resolved.layers
        ],
        "effect": judged.effect.value,
        "reason": judged.reason,
        "warnings": list(judged.warnings),
        "doubt": resolved.doubt,
        "started_with": look.shown(name, running, reveal=reveal),
        "restart_needed": (
            known and not resolved.doubt and (resolved.value or "") != (running or "")
        ),
    }
