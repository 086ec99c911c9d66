"""What a K3s that runs was started with, where the unit says something else by now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.release.flags import ServerSettings
    from k3s_rootless.service.facts import UnitState


def as_started(settings: ServerSettings, state: UnitState, uid: int) -> ServerSettings:
    """Give the settings that K3s was started with, which are others until a restart where the unit was changed meanwhile.

    The data directory is the one that its process holds the lock of, the port the one in the kubeconfig that this start wrote.
    """
    from k3s_rootless.service import dropin, files

    drop_ins = state.fragment.with_name(f"{state.name}{dropin.DIRECTORY_SUFFIX}") if state.fragment else None
    if drop_ins is None or dropin.restart_owed(state, files.last_changed(drop_ins, state)) is None:
        return settings
    from k3s_rootless.cluster import kubeconfig
    from k3s_rootless.ports import rootlesskit

    held = rootlesskit.state_of(state.main_pid)
    if held is not None and held.name == "rootless":
        settings = replace(settings, data=held.parent)
    try:
        found = kubeconfig.load(settings.kubeconfig, uid=uid)
    except RootlessError:
        return settings
    # Without the grain of clocks: the file of the start before may be as young, and its port be waited for in vain.
    of_this_start = state.started is not None and found.modified >= state.started
    return replace(settings, https_port=found.port) if of_this_start else settings
