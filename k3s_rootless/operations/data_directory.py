"""The data directory of K3s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import server_settings

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def of_next_start(context: Context) -> Path:
    """Return the data directory of the next start; K3s's default if no unit is known."""
    state = _state(context)
    if state is None:
        return context.paths.data
    return server_settings.of_next_start(context, state).data


def present(context: Context) -> Path:
    """Return the data directory of the running K3s, or of the next start if K3s does not run."""
    state = _state(context)
    if state is None:
        return context.paths.data
    return server_settings.of(context, state).data


def _state(context: Context) -> UnitState | None:
    try:
        return context.k3s_unit()
    except RootlessError:
        return None
