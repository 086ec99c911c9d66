"""The installed K3s: its unit, and the settings that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import background
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def unit(context: Context) -> UnitState:
    """Return the unit of K3s as systemd has it, or as its files describe it without a session.

    Without a session, it is not known whether K3s runs. Raises PreflightFailed for root.
    """
    context.require_ordinary_user()
    try:
        return context.k3s_unit()
    except RootlessError:
        return on_disk(context)


def on_disk(context: Context) -> UnitState:
    """Return the unit of K3s as its files describe it."""
    # Imported here: most users have a session.
    from k3s_rootless.service.observe import files

    return files.on_disk(context.paths.user_units, context.paths.home)


def settings(context: Context) -> tuple[UnitState, Settings]:
    """Return the unit, and the settings of the running K3s or of its next start.

    No session is needed; see `unit`. Raises NotRunning if K3s is not installed, RootlessError.
    """
    querying = background.begin(lambda: unit(context))
    # Imported here: meanwhile, the user manager is queried in another process.
    from k3s_rootless.operations import server_settings

    state = querying.result()
    if not state.installed:
        # Imported here: an installed K3s does not need it.
        from k3s_rootless.operations.installation import absence

        raise absence(state)
    return state, server_settings.of(context, state)
