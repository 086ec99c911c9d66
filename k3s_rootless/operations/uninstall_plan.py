"""Read the files that `uninstall` can remove, and decide which of them it removes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.operations import first_start, installation, purge
from k3s_rootless.operations.backup import schedule
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import removal
from k3s_rootless.service.plan import schedule as schedule_plan
from k3s_rootless.service.unit import backup_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.backup.schedule import Units
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Found:
    """The current state: the unit as systemd has loaded it, its files, and its K3s settings.

    `schedule` are the units of the scheduled backups.
    """

    directory: Path
    drop_in_directory: Path
    state: UnitState | None
    unit: FoundFile
    drop_ins: tuple[FoundFile, ...]
    names: frozenset[str] | None
    link: Path | None
    settings: tuple[Settings, ...]
    schedule: Units

    def removals(self, *, force: bool) -> tuple[Step, ...]:
        """Return the steps that remove our files; edited files only with `force`.

        Without `force`, raises WouldOverwrite for a unit that k3s-rootless did not write.
        """
        of_unit = removal.files(
            self.unit,
            self.drop_ins,
            self.drop_in_directory,
            self.names,
            self.link,
            force=force,
        )
        scheduled = schedule_plan.uninstall(self.schedule.files, self.schedule.link, force=force)
        return (*scheduled, *of_unit)

    def stops(self, state: UnitState) -> tuple[Step, ...]:
        """Return the steps that stop and disable the units; `state` is that of K3s's unit."""
        timer = schedule_plan.stopping(self.schedule.timer)
        return (*timer, *removal.stopping(state, self.unit))

    def afterwards(self, performed: Sequence[Step]) -> tuple[Step, ...]:
        """Return the steps after the removal of the files."""
        reset = schedule_plan.reset_failed(self.schedule.service)
        return (*removal.forgetting(self.state, performed), *reset)

    def remaining(self) -> list[Path]:
        """Return the files of the units that exist now: edited ones, and copies of them."""
        copies = self.directory.glob(f"{UNIT}.*.bak")
        scheduled = self.directory.glob(f"{backup_units.NAME}.*")
        return sorted((*self.drop_in_directory.glob("*"), *copies, *scheduled))


def read(context: Context, manager: UserManager | None) -> Found:
    """Return the current state; `manager` is None if there is no user manager."""
    directory = context.paths.user_units
    state = None
    environment: Mapping[str, str] = {}
    if manager is not None:
        directory = first_start.unit_directory(manager, context.paths)
        state = manager.unit(UNIT)
        environment = manager.environment
    drop_in_directory = installation.drop_in_directory(directory)
    for one in (directory, drop_in_directory):
        apply.sweep(one)
    unit = files.read(directory / UNIT)
    link = files.enabling_link(directory, UNIT)
    if unit.text is not None and state is not None and state.file_state == "enabled":
        link = None  # systemd disables the unit and removes the link itself
    return Found(
        directory,
        drop_in_directory,
        state,
        unit,
        files.drop_ins(drop_in_directory, state),
        files.names(drop_in_directory),
        link,
        purge.known_settings(context, state, environment),
        schedule.read_units(manager, directory),
    )
