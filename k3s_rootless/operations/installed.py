"""The installed K3s: its unit, and the settings that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import background

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def settings(context: Context) -> tuple[UnitState, Settings]:
    """Return the unit, and the settings of the running K3s or of its next start.

    Raises NotRunning if K3s is not installed, RootlessError.
    """
    querying = background.begin(context.k3s_unit)
    # Imported here: meanwhile, the user manager is queried in another process.
    from k3s_rootless.operations import server_settings

    state = querying.result()
    if not state.installed:
        # Imported here: an installed K3s does not need it.
        from k3s_rootless.operations.installation import absence

        raise absence(state)
    return state, server_settings.of(context, state)
