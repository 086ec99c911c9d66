"""Stop K3s; the unit and the data are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.operations import gently, installation
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.launch import perform
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.steps import ResetFailed
from k3s_rootless.service.systemd import logind

if TYPE_CHECKING:
    from k3s_rootless.observation import Observed
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import Step


@dataclass(frozen=True, slots=True)
class Stopped:
    """The unit after the stop, the steps that were performed, and whether the user lingers."""

    state: UnitState
    steps: tuple[Step, ...]
    lingers: Observed[bool]

    @property
    def enabled(self) -> bool:
        """Whether K3s starts again at the next login or boot."""
        return self.state.file_state == "enabled"


def stop(context: Context, *, disable: bool, grace: float | None = None) -> Stopped:
    """Stop K3s; `disable` also prevents its start at login or boot.

    With `grace`, Pods may end first, for at most so many seconds; see `gently.ended`.

    Raises NotRunning if K3s is not installed, RootlessError.
    """
    with context.manager() as manager, context.locked():
        state = context.k3s_unit(manager)
        if state.load_state == "not-found":
            raise installation.absence(state)
        steps = planner.down(state, disable=disable)
        if state.in_foreground:
            steps = (*steps, *planner.down(manager.unit(UNIT), disable=disable))
        if state.running and grace is None:
            context.notice(gently.KILLED)
        with gently.ended(context, state, grace):
            perform.perform(context, manager, steps)
        unfinished.forget_stop(context)
        after = manager.unit(UNIT)
        if after.active_state == "failed":
            # K3s exits with status 1 after SIGTERM (seen with v1.21.2), and systemd reports that as
            # a failure, although the stop was requested.
            apply.perform(ResetFailed(UNIT, "it was stopped"), manager)
            after = manager.unit(UNIT)
    return Stopped(after, steps, logind.lingers(context.user, context.paths.root))
