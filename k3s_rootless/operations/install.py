"""Write the unit for the installed K3s and enable it, without starting K3s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.operations import first_start, installation, renewal
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.check import checking, outcome
from k3s_rootless.operations.launch import perform
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan import planner

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import DesiredUnit, UnitState
    from k3s_rootless.service.plan.steps import Step


@dataclass(frozen=True, slots=True)
class Installed:
    """The unit as it should be, the unit as it is now, and the steps that were performed."""

    desired: DesiredUnit
    state: UnitState
    steps: tuple[Step, ...]

    @property
    def enabled(self) -> bool:
        """Whether K3s starts at login or boot."""
        return self.state.file_state in {"enabled", "enabled-runtime"}


def install(
    context: Context, *, force: bool, unit_file: Path | None = None, enable: bool = True
) -> Installed:
    """Write the unit, and enable it unless `enable` is false.

    `unit_file` is a unit to adopt, `force` replaces edited files.

    Raises PreflightFailed if there is no usable k3s, UsageError for a unit that cannot be adopted,
    WouldOverwrite, RootlessError.
    """
    with checking.begin(context) as checks, context.manager() as manager:
        facts, _ = checks.finish(manager)
        outcome.require_k3s(context, checking.judge(facts))
        directory = first_start.unit_directory(manager, context.paths)
        desired = installation.desired(facts.k3s, directory, unit_file)
        with context.locked():
            unfinished.require_none(context)
            drop_ins = renewal.steps(context, desired, force=force)
            found = installation.found(context, manager, desired.path)
            planned = planner.install(desired, found, drop_ins, force=force, enable=enable)
            perform.perform(context, manager, planned)
            state = manager.unit(UNIT)
    return Installed(desired, state, planned)
