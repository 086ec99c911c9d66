"""Stop K3s and remove the files that k3s-rootless wrote; on request, also remove K3s's data.

A step that fails becomes a problem in the result, and the remaining steps are still performed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.backup import stop_record
from k3s_rootless.errors import (
    BusError,
    RootlessError,
    SystemdError,
    error_document,
)
from k3s_rootless.operations import first_start, installation, purge, purge_consent
from k3s_rootless.operations.backup import schedule, unfinished
from k3s_rootless.operations.releases import all_releases
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import removal
from k3s_rootless.service.plan import schedule as schedule_plan
from k3s_rootless.service.plan import steps as plan_steps
from k3s_rootless.service.unit import backup_units

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.backup.schedule import Units
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.purge import Purged
    from k3s_rootless.operations.purge_consent import Ask
    from k3s_rootless.operations.releases.all_releases import Downloaded
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """The result of an uninstall: what was done, and what could not be done.

    `data` are the data directories that are kept. `releases` are kept as well, unless
    `releases_removed`. `backups` is the directory of the backups, which are always kept; None if
    there are none.
    """

    done: tuple[Step, ...]
    problems: tuple[str, ...]
    kept: tuple[Path, ...]
    purged: tuple[Purged, ...]
    data: tuple[Path, ...]
    releases: Downloaded | None = None
    releases_removed: bool = False
    backups: Path | None = None

    @property
    def removed(self) -> int:
        """The number of files and directories of K3s's data that were removed."""
        return sum(one.removed for one in self.purged)


@dataclass(frozen=True, slots=True)
class Request:
    """The things to remove in addition to unchanged files of ours.

    `force` removes edited files, `purge` removes K3s's data. `data_dir` is the data directory to
    purge if the unit does not name it. `yes` is the consent of the user.
    """

    force: bool = False
    purge: bool = False
    data_dir: Path | None = None
    yes: bool = False


def uninstall(context: Context, request: Request, ask: Ask) -> Uninstalled:
    """Stop K3s and remove the files that k3s-rootless wrote; on request, also remove K3s's data.

    Raises before anything is changed: WouldOverwrite for a unit that is not ours; UsageError if the
    data directory is unknown, is not used by K3s alone, or if no user can answer; RootlessError if
    the user does not consent.
    """
    work = _Work(context)
    with ExitStack() as opened:
        manager = work.open_manager(opened)
        if _has_session(context):
            opened.enter_context(context.locked())
        found = _look(context, manager)
        steps = removal.files(
            found.unit,
            found.drop_ins,
            found.drop_in_directory,
            found.names,
            found.link,
            force=request.force,
        )
        scheduled = schedule_plan.uninstall(
            found.schedule.files, found.schedule.link, force=request.force
        )
        releases = work.releases(purge=request.purge)
        backups = purge_consent.backups(context)
        to_purge: tuple[Path, ...] = ()
        if request.purge:
            to_purge = purge.directories(context, found.settings, request.data_dir)
            if not request.yes:
                purge_consent.require(to_purge, releases, backups, ask)
        manager = work.stop(manager, found)
        work.remove(manager, found, (*scheduled, *steps))
        removed = False
        if request.purge:
            work.purge(to_purge, stopped=manager is not None)
            removed = work.purge_releases(releases)
        work.forget(purged=request.purge)
    data: tuple[Path, ...] = ()
    if not request.purge:
        data = purge.existing(context, found.settings)
    return Uninstalled(
        done=tuple(work.done),
        problems=tuple(work.problems),
        kept=tuple(work.kept),
        purged=tuple(work.purged),
        data=data,
        releases=releases,
        releases_removed=removed,
        backups=backups,
    )


def document(done: Uninstalled) -> dict[str, Any]:
    """Return the JSON form of the result."""
    return {
        "changed": bool(done.done) or done.removed > 0 or done.releases_removed,
        "steps": [plan_steps.document(step) for step in done.done],
        "kept": [str(path) for path in done.kept],
        "purged": [
            {
                "directory": str(one.directory),
                "removed": one.removed,
                "survivors": [{"path": path, "reason": why} for path, why in one.survivors],
                "more_survivors": one.more,
            }
            for one in done.purged
        ],
        "releases": None if done.releases is None else _releases(done, done.releases),
        "backups": None if done.backups is None else str(done.backups),
        "errors": [error_document(problem) for problem in done.problems],
    }


def _releases(done: Uninstalled, releases: Downloaded) -> dict[str, Any]:
    return {
        "directory": str(releases.directory),
        "versions": list(releases.versions),
        "size": releases.size,
        "removed": done.releases_removed,
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """The current state: the unit as systemd has loaded it, its files, and its K3s settings."""

    directory: Path
    drop_in_directory: Path
    state: UnitState | None
    unit: FoundFile
    drop_ins: tuple[FoundFile, ...]
    names: frozenset[str] | None
    link: Path | None
    settings: tuple[Settings, ...]
    schedule: Units


@dataclass(slots=True)
class _Work:
    """The progress of an uninstall: what was done, and what could not be done."""

    context: Context
    done: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    purged: list[Purged] = field(default_factory=list)

    def open_manager(self, opened: ExitStack) -> UserManager | None:
        """Return the user manager; if there is none, record a problem and return None."""
        try:
            return opened.enter_context(self.context.manager())
        except RootlessError as error:
            if self.context.uid == 0:
                raise
            self.problems.append(f"cannot stop K3s (if it is running): {error.message}")
            return None

    def stop(self, manager: UserManager | None, found: _Found) -> UserManager | None:
        """Stop K3s and disable the unit; return the user manager, or None if it is gone."""
        if manager is None or found.state is None:
            return None
        try:
            stops = schedule_plan.stopping(found.schedule.timer)
            for step in (*stops, *removal.stopping(found.state, found.unit)):
                self._perform(step, manager)
        except SystemdError:
            raise
        except BusError as error:
            self.problems.append(f"cannot stop K3s (if it is running): {error.message}")
            return None
        return manager

    def remove(self, manager: UserManager | None, found: _Found, steps: Sequence[Step]) -> None:
        """Remove the files, and reload systemd."""
        for step in steps:
            self._announce(step)
            apply.change_file(step)
            self.done.append(step)
        copies = found.directory.glob(f"{UNIT}.*.bak")
        scheduled = found.directory.glob(f"{backup_units.NAME}.*")
        self.kept = sorted((*found.drop_in_directory.glob("*"), *copies, *scheduled))
        if manager is None:
            return
        try:
            reset = schedule_plan.reset_failed(found.schedule.service)
            for step in (*removal.forgetting(found.state, steps), *reset):
                self._perform(step, manager)
        except BusError as error:
            self.problems.append(
                f"cannot reload the user manager after the unit was removed: {error.message}"
            )

    def purge(self, directories: Sequence[Path], *, stopped: bool) -> None:
        """Remove the data directories if K3s is known to be stopped."""
        if directories and not stopped:
            self.problems.append("cannot purge: it is unknown whether K3s is still running")
            return
        for directory in directories:
            try:
                self.purged.append(purge.purge(self.context, directory))
            except RootlessError as error:
                self.problems.append(error.message)
        self.problems += [one.problem for one in self.purged if one.problem]

    def releases(self, *, purge: bool) -> Downloaded | None:
        """Return the releases on this host; only a purge has a problem if they are unknown."""
        try:
            return all_releases.found(self.context)
        except RootlessError as error:
            if purge:
                self.problems.append(error.message)
            return None

    def purge_releases(self, releases: Downloaded | None) -> bool:
        """Remove the releases, unless a K3s may still need them; return whether they are gone."""
        if releases is None or self.problems:
            return False
        self.context.notice(f"remove {releases.directory}: downloaded releases of K3s")
        try:
            all_releases.remove(self.context)
        except RootlessError as error:
            self.problems.append(error.message)
            return False
        return True

    def forget(self, *, purged: bool) -> None:
        """Remove the record of a command that has stopped K3s.

        The record of a reset is needed as long as there is data to remove.
        """
        try:
            if purged and not self.problems:
                stop_record.remove(self.context.paths.stop_record)
            else:
                unfinished.forget_stop(self.context)
        except RootlessError as error:
            self.problems.append(error.message)

    def _announce(self, step: Step) -> None:
        self.context.notice(f"{step.describe()}: {step.cause}")

    def _perform(self, step: Step, manager: UserManager) -> None:
        self._announce(step)
        apply.perform(step, manager)
        self.done.append(step)


def _look(context: Context, manager: UserManager | None) -> _Found:
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
    return _Found(
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


def _has_session(context: Context) -> bool:
    """Return whether this user has a runtime directory.

    Without a runtime directory, no other k3s-rootless of this user runs.
    """
    try:
        return context.paths.runtime.stat().st_uid == context.uid
    except OSError:
        return False
