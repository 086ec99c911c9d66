"""Outage that a plan causes: a restart of a running K3s stops all its Pods."""

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
    """A restart of a running K3s: its cause, and the K3s releases before and after it.

    Both releases are those of the unit; each is None if it is not known.
    """

    cause: str
    before: Version | None
    after: Version | None

    @property
    def downgrade(self) -> bool:
        """True if K3s changes to an older release."""
        return self.before is not None and self.after is not None and self.after < self.before

    def describe(self) -> str:
        """Return a sentence that describes the restart and its risk."""
        change = f"from {self.before} to {self.after}, and all pods stop"
        if self.downgrade:
            doubt = f"K3s {self.after} may not be able to read the datastore of {self.before}"
            return f"K3s must restart for the downgrade {change}; {doubt}"
        if self.before and self.after and self.before != self.after:
            return f"K3s must restart for the upgrade {change}"
        return f"K3s must restart, and all pods stop: {self.cause}"

    def document(self) -> dict[str, Any]:
        """Return the outage in its JSON form."""
        return {
            "cause": self.cause,
            "from": _text(self.before),
            "to": _text(self.after),
            "downgrade": self.downgrade,
        }


def _text(release: Version | None) -> str | None:
    return str(release) if release else None


def of(steps: Sequence[Step], state: UnitState, text: str | None, release: str) -> Outage | None:
    """Return the outage that these steps cause; None if no running K3s is stopped.

    `text` is the unit file as it was read, `release` the K3s release for which the unit is written
    after these steps.
    """
    stops = [step for step in steps if isinstance(step, Restart | Stop)]
    if not stops or state.failed:
        return None
    causes = (WriteUnit, WriteDropIn, Remove, Reexecute)
    first = next((step for step in steps if isinstance(step, causes)), stops[0])
    before = version.parse(written_for(text or "") or "")
    return Outage(first.cause, before, version.parse(release))
