"""Read the sources of the environment of the unit's next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.environment import assignments
from k3s_rootless.service.environment.precedence import EnvironmentFile, Sources
from k3s_rootless.service.observe import environment_files, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3s_rootless.service.facts import FoundFile, UnitState


def sources(
    manager: Mapping[str, str],
    state: UnitState,
    files_of_unit: tuple[FoundFile, ...] = (),
    generated: Mapping[str, tuple[str, Path]] | None = None,
) -> Sources:
    """Return the sources of the next start's environment, including environment files.

    `manager` is the environment that the user manager passes to each unit, `generated` are the
    variables in it that environment.d sets.
    """
    named = environment_files.named(state.environment_files) if state.environment_files else ()
    known = tuple(
        EnvironmentFile(
            one.path,
            Unknown(one.problem) if one.text is None else Known(assignments.of_file(one.text)),
        )
        for one in named
    )
    return Sources(
        manager, generated or {}, state.environment or {}, state.unset, files_of_unit, known
    )


def texts(state: UnitState) -> tuple[FoundFile, ...]:
    """Read the files of the unit, in systemd's order."""
    paths = (state.fragment, *state.drop_ins)
    return tuple(files.or_problem(path) for path in paths if path is not None)
