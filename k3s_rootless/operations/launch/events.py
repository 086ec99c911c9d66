"""The events of a check and of a start, as records for a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.readiness.phases import Phase
    from k3s_rootless.service.facts import UnitState


@dataclass(frozen=True, slots=True)
class ChecksFailed:
    """The checks that failed on this host; the operation cannot continue."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class StepBegins:
    """A step of a plan begins; `does` describes the step, `cause` is why the plan contains it."""

    does: str
    cause: str


@dataclass(frozen=True, slots=True)
class StartAhead:
    """K3s will be started soon.

    The listener can load the code that displays a start now, so that this does not delay the start.
    """


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait for these phases begins.

    `now` returns the phase that is being checked and what is missing; None before the first check.
    It can be called from any thread until the wait is over.
    """

    phases: tuple[Phase, ...]
    now: Callable[[], tuple[Phase, str] | None]


@dataclass(frozen=True, slots=True)
class PhaseReached:
    """A phase was reached.

    `seconds` is the time since the wait began, `took` is the time since the previous phase.
    """

    phase: Phase
    seconds: float
    took: float

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "phase": self.phase.key,
            "name": self.phase.name,
            "seconds": round(self.seconds, 3),
            "took": round(self.took, 3),
        }


@dataclass(frozen=True, slots=True)
class Died:
    """The start failed before `phase` was reached, and the cause is not known yet.

    `seconds` is the time since the wait began.
    """

    phase: Phase
    seconds: float
    state: UnitState


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The wait is over, with any result."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A line that K3s wrote, while it runs in the foreground."""

    text: str
