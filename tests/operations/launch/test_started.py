"""Tests of the known facts of a K3s after a start."""

from __future__ import annotations

import pytest

from k3s_rootless.operations.launch.events import PhaseReached
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.operations.readiness import phases
from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan.steps import Enable, Start


@pytest.mark.parametrize(
    ("reached", "ready", "last"),
    [
        (None, None, ""),
        ((phases.UNIT, phases.API), False, "API server ready"),
        ((phases.UNIT, phases.NODE), True, "node ready"),
        ((phases.NODE, phases.DEPLOYMENTS), True, "system Deployments available"),
    ],
)
def test_k3s_is_ready_if_its_node_is_ready(
    reached: tuple[Phase, ...] | None, *, ready: bool | None, last: str
) -> None:
    found = None
    if reached is not None:
        found = [PhaseReached(phase, 2.0, 1.0) for phase in reached]
    started = Started((), 3.0, found)

    assert (ready, last) == (started.ready, started.last_phase)


def test_a_start_step_means_that_this_run_started_k3s() -> None:
    assert Started((Start(UNIT, "x"),), 1.0, None).by_us
    assert not Started((Enable(UNIT, "x"),), 1.0, None).by_us
