"""Insertion of the certificate renewal of K3s into a plan.

The renewal must run after the unit stops and before it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.service.plan.steps import Restart, Start, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import RotateCertificates, Step


def stopped_for(
    rotation: RotateCertificates | None, steps: Iterable[Step], state: UnitState
) -> tuple[Step, ...]:
    """Return the steps with `rotation` before the start of the unit.

    If the unit may run at that point, it is stopped first. If no step starts the unit, the steps
    are returned unchanged, and the renewal is left to the next start.
    """
    found: list[Step] = []
    stopped = state.at_rest
    for step in steps:
        stopped = stopped or isinstance(step, Stop)
        if rotation is None or not isinstance(step, Start | Restart):
            found.append(step)
            continue
        if not stopped:
            found.append(Stop(state.name, step.cause))
        found += [rotation, Start(state.name, step.cause)]
    return tuple(found)
