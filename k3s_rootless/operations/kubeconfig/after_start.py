"""What follows a start of K3s: its kubeconfig is known, and the copies of it are refreshed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations import server_settings
from k3s_rootless.operations.kubeconfig import refresh
from k3s_rootless.operations.readiness import phases
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.launch.events import PhaseReached
    from k3s_rootless.service.systemd.user import UserManager


def kubeconfig(
    context: Context,
    manager: UserManager,
    reached: Sequence[PhaseReached] | None,
    *,
    by_us: bool,
    name: str = UNIT,
) -> Path | None:
    """Refresh the copies of the kubeconfig, and return its path.

    None if the wait ended before K3s had written it. `by_us` is True if this run started K3s;
    otherwise, the path is returned only if there are copies. `name` is the unit. Raises
    RootlessError.
    """
    written = any(one.phase.key == phases.KUBECONFIG.key for one in reached or ())
    if not written or not (by_us or refresh.has_copies(context)):
        return None
    settings = server_settings.of(context, manager.unit(name), manager.environment)
    refresh.refresh(context, settings.kubeconfig)
    return settings.kubeconfig
