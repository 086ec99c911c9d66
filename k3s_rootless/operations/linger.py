"""Lingering: keep K3s running after logout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Unknown
from k3s_rootless.service.systemd import logind

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def lingers(context: Context) -> bool:
    """Return whether lingering is on for the user. Raises RootlessError if that cannot be read."""
    found = logind.lingers(context.user, context.paths.root)
    if isinstance(found, Unknown):
        raise RootlessError(f"cannot read whether lingering is on: {found.reason}")
    return found.value


def switch(context: Context, *, on: bool) -> bool:
    """Switch lingering on or off, and return whether lingering is on afterwards.

    logind is called only if something must change, so that it cannot refuse the current state.
    Raises AdministratorNeeded, BusError, RootlessError.
    """
    found = logind.lingers(context.user, context.paths.root)
    if isinstance(found, Unknown) or found.value != on:
        logind.set_lingering(context.uid, context.user, on=on)
    after = lingers(context)
    if after != on:
        state = "on" if after else "off"
        raise RootlessError(
            f"lingering is still {state}: systemd-logind accepted the change, but did not apply it",
            hint="check with: loginctl user-status",
        )
    return after
