"""Put the renewal of K3s's certificates into a plan: after the stop of the unit, before its
start.
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
    """Return the steps with `rotation` before the start of the unit, and a stop before that.

    Steps that do not start the unit stay as they are: `rotation` waits for the next start.
    """
    found: list[Step] = []
    stopped = state.active_state in {"inactive", "failed", ""}
    for step in steps:
        stopped = stopped or isinstance(step, Stop)
        if rotation is None or not isinstance(step, Start | Restart):
            found.append(step)
            continue
        if not stopped:
            found.append(Stop(state.name, step.cause))
        found += [rotation, Start(state.name, step.cause)]
    return tuple(found)
