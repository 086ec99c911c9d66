"""Restart K3s with its current configuration, and wait until K3s is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless.operations import first_start, gently, installation, rotation
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.kubeconfig import after_start
from k3s_rootless.operations.launch import perform, until_ready
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.plan.steps import Reload

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


def restart(
    context: Context, timeout: float | None, until: str = "node", *, grace: float | None = None
) -> Started:
    """Stop K3s, start it, and wait at most `timeout` seconds for the phase with the key `until`.

    Does not wait if `timeout` is None. With `grace`, Pods may end first, for at most so many
    seconds; see `gently.ended`. Raises NotRunning if K3s is not installed. Raises NotReady,
    or RootlessError with the cause, if K3s does not become ready.
    """
    begun = time.monotonic()
    with context.manager() as manager:
        with context.locked():
            unfinished.require_none(context)
            active.require_none(context, "restart the unit")
            directory = first_start.unit_directory(manager, context.paths)
            state = installation.observed(manager, directory)
            if not state.installed:
                raise installation.absence(state)
            manager.watch(UNIT)
            state = _reloaded(context, manager, state)
            rotate = rotation.needed(context, manager.environment, state)
            left = installation.left_behind(context, state, manager.environment)
            steps = stopped_for(rotate, planner.restart(state, left), state)
            with gently.ended(context, state, grace):
                perform.perform(context, manager, steps)
            unfinished.forget_stop(context)
        reached = kubeconfig = None
        if timeout is not None:
            release = files.release_of(state.fragment)
            reached = until_ready.until_ready(
                context, manager, release, seconds=timeout, until=until, started=True
            )
            kubeconfig = after_start.kubeconfig(context, manager, reached, by_us=True)
    return Started(steps, time.monotonic() - begun, reached, kubeconfig=kubeconfig)


def _reloaded(context: Context, manager: UserManager, state: UnitState) -> UnitState:
    """Reload the unit if it changed, and return the unit that K3s will be started with."""
    if not state.needs_reload:
        return state
    perform.step(context, manager, Reload("the unit changed after systemd read it"))
    return manager.unit(UNIT)
