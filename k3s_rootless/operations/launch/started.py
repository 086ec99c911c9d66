"""The result of `up` and `restart`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.operations.launch import perform

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.operations.launch.events import PhaseReached
    from k3s_rootless.service.plan.steps import Step


@dataclass(frozen=True, slots=True)
class Started:
    """The state of K3s after `up` or `restart`.

    `reached` are the phases of the wait, None without a wait. `restart_needed` is the reason why a
    running K3s needs a restart. `kubeconfig` is the file that K3s has written, if the run waited
    for it.
    """

    steps: tuple[Step, ...]
    seconds: float
    reached: Sequence[PhaseReached] | None
    restart_needed: str | None = None
    kubeconfig: Path | None = None

    @property
    def by_us(self) -> bool:
        """Whether this run started K3s."""
        return perform.starts(self.steps)

    @property
    def last_phase(self) -> str:
        """The name of the last phase that K3s reached; empty without a wait."""
        if not self.reached:
            return ""
        return self.reached[-1].phase.name

    @property
    def ready(self) -> bool | None:
        """Whether K3s is ready; None if this run did not wait for it."""
        if self.reached is None:
            return None
        return any(one.phase.ready for one in self.reached)
