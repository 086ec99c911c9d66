"""What an operation tells while it works: records for whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.readiness.phases import Phase
    from k3s_rootless.service.facts import UnitState


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the user about what happens now."""

    text: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """What this host lacks, so that the operation cannot go on."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class StepBegins:
    """A step of a plan begins: what it does, and why it is in the plan."""

    does: str
    cause: str


@dataclass(frozen=True, slots=True)
class StartAhead:
    """K3s will be started soon: what shows a start can be loaded now, so that it delays nothing."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait for these phases begins; `now` returns the phase that is looked at, and what it lacks.

    `now` may be called from any thread until the wait is over; None means that nobody looks yet.
    """

    phases: tuple[Phase, ...]
    now: Callable[[], tuple[Phase, str] | None]


@dataclass(frozen=True, slots=True)
class PhaseReached:
    """A phase was reached, so many seconds after the wait began; it took `took` of them."""

    phase: Phase
    seconds: float
    took: float

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "phase": self.phase.key,
            "name": self.phase.name,
            "seconds": round(self.seconds, 3),
            "took": round(self.took, 3),
        }


@dataclass(frozen=True, slots=True)
class Died:
    """The start failed before `phase` was reached, and the cause is not known yet.

    `seconds` count from the beginning of the wait.
    """

    phase: Phase
    seconds: float
    state: UnitState


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The wait is over, however it ended."""


Event = Notice | Lacking | StepBegins | StartAhead | Waiting | PhaseReached | Died | WaitOver
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Hear an event, and do nothing with it: for whoever wants only the result."""
    del event
