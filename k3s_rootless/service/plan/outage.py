"""What a plan costs: a restart of a K3s that runs stops all its Pods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from k3s_rootless.k3s import version
from k3s_rootless.k3s.version import Version
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.plan.steps import (
    Reexecute,
    Remove,
    Restart,
    Step,
    Stop,
    WriteDropIn,
    WriteUnit,
)
from k3s_rootless.service.unit.text import written_for


@dataclass(frozen=True, slots=True)
class Outage:
    """A restart of a running K3s: its cause, the release of its unit so far, and the release after
    it.
    """

    cause: str
    before: Version | None
    after: Version | None

    @property
    def downgrade(self) -> bool:
        """Whether K3s becomes an older release."""
        return self.before is not None and self.after is not None and self.after < self.before

    def describe(self) -> str:
        """Return in a sentence what happens, and what it can break."""
        change = f"from {self.before} to {self.after}, and all pods stop"
        if self.downgrade:
            doubt = f"K3s {self.after} may not be able to read the datastore of {self.before}"
            return f"K3s must restart for the downgrade {change}; {doubt}"
        if self.before and self.after and self.before != self.after:
            return f"K3s must restart for the upgrade {change}"
        return f"K3s must restart, and all pods stop, because {self.cause}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "cause": self.cause,
            "from": _text(self.before),
            "to": _text(self.after),
            "downgrade": self.downgrade,
        }


def _text(release: Version | None) -> str | None:
    return str(release) if release else None


def of(steps: Sequence[Step], state: UnitState, text: str | None, release: str) -> Outage | None:
    """Return the outage that these steps mean, None if no running K3s is stopped.

    `text` is the unit file as found, `release` the one that the unit is written for afterwards.
    """
    stops = [step for step in steps if isinstance(step, Restart | Stop)]
    if not stops or state.dead:
        return None
    causes = (WriteUnit, WriteDropIn, Remove, Reexecute)
    first = next((step for step in steps if isinstance(step, causes)), stops[0])
    before = version.parse(written_for(text or "") or "")
    return Outage(first.cause, before, version.parse(release))
