"""Find the values in K3s's environment, from any source, that make K3s fail or that it ignores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed
from k3s_rootless.operations.environment import reading, surroundings
from k3s_rootless.preflight.records import Problem
from k3s_rootless.service.environment.variables import Effect
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.service.facts import UnitState


def problems(
    manager: Mapping[str, str], state: UnitState, home: Path
) -> Observed[tuple[Problem, ...]]:
    """Return the values that make the next start fail, or that K3s replaces or does not read.

    The rules are those of `env set`. `manager` is the environment that the user manager passes to
    each unit; K3s runs in the directory `home`.
    """
    values = reading.next_start(manager, state)
    around = surroundings.alone(values, home, unit_files.release_of(state.fragment))
    found = []
    for name, value in values.items():
        judged = surroundings.judged(name, value, around)
        if value and judged.effect is not Effect.USED:
            shown = reading.shown(name, value, reveal=False)
            found.append(
                Problem(name, f"{shown!r}: {judged.reason}", fatal=judged.effect is Effect.FATAL)
            )
    return Known(tuple(found), "the environment of the unit and of the user manager")
