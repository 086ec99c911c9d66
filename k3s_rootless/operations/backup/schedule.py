"""Show, set and remove the schedule of backups: a timer and a service of the user manager."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import command, trust
from k3s_rootless.backup import scheduled_run
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import value_or
from k3s_rootless.operations import first_start
from k3s_rootless.operations.backup import age
from k3s_rootless.operations.launch import perform
from k3s_rootless.printable import json_time
from k3s_rootless.service.facts import BackupSettings
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import schedule as planner
from k3s_rootless.service.plan import steps as plan_steps
from k3s_rootless.service.systemd import logind
from k3s_rootless.service.unit import backup_units
from k3s_rootless.service.unit.seal import author

if TYPE_CHECKING:
    from datetime import datetime

    from k3s_rootless.backup.records import Age, ScheduledRun
    from k3s_rootless.observation import Observed
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager
    from k3s_rootless.service.unit.seal import Author

OFF = "off"
KEEP = 7
"""How many scheduled backups are kept, unless the user names another number."""
_VOLUMES, _IMAGES = backup_units.PARTS
_UNITS = (backup_units.SERVICE, backup_units.TIMER)


@dataclass(frozen=True, slots=True)
class Request:
    """The schedule to set: `daily`, `weekly` or `off`.

    `keep` is the number of scheduled backups to keep; `volumes` and `images` add these parts. Each
    of them is None for the present value. `force` replaces edited files. `dry_run` changes nothing.
    """

    every: str
    keep: int | None = None
    volumes: bool | None = None
    images: bool | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A unit of the scheduled backups, and who wrote it."""

    path: Path
    author: Author


@dataclass(frozen=True, slots=True)
class Schedule:
    """The present schedule.

    `age.every` is None if there is none. `parts` are the options that add parts to the backups.
    `active` is True if the timer runs. `result` is systemd's result of the last run since the user
    manager started, empty if there was none.
    """

    age: Age
    keep: int | None
    parts: tuple[str, ...]
    files: tuple[File, ...]
    active: bool
    next_run: datetime | None
    last_run: datetime | None
    run: ScheduledRun | None
    result: str
    lingers: Observed[bool]


@dataclass(frozen=True, slots=True)
class Units:
    """The files of the service and the timer, the link that enables it, and their states.

    `link` is None if systemd removes it itself. The states are None without a user manager.
    """

    files: tuple[FoundFile, ...]
    link: Path | None
    timer: UnitState | None = None
    service: UnitState | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The performed steps, or the planned ones of a dry run, and the schedule afterwards."""

    steps: tuple[Step, ...]
    schedule: Schedule
    dry_run: bool


def show(context: Context) -> Schedule:
    """Return the present schedule. Raises RootlessError."""
    with context.manager() as manager:
        return _read(context, manager, first_start.unit_directory(manager, context.paths))


def change(context: Context, request: Request) -> Changed:
    """Set or remove the schedule.

    Raises WouldOverwrite for a file that was edited, UsageError, RootlessError.
    """
    with context.manager() as manager, context.locked():
        directory = first_start.unit_directory(manager, context.paths)
        steps = _plan(context, manager, directory, request)
        if not request.dry_run:
            perform.perform(context, manager, steps)
        return Changed(steps, _read(context, manager, directory), request.dry_run)


def program() -> tuple[str, ...]:
    """Return the command that starts this k3s-rootless from a unit.

    Raises RootlessError if another user could change this program.
    """
    script = Path(sys.argv[0])
    found = command.module("k3s_rootless")
    if script.name == "k3s-rootless" and os.access(script, os.X_OK):
        # This path, which can be a link, remains after an update of k3s-rootless.
        found = (str(script.absolute()),)
    risk = trust.risk(Path(found[0]))
    if risk:
        raise RootlessError(
            f"cannot schedule backups with `{found[0]}`: {risk}",
            hint="install k3s-rootless where only you or root can change it",
        )
    return found


def document(found: Schedule) -> dict[str, Any]:
    """Return the JSON form of a schedule."""
    run = None
    if found.run is not None:
        run = {
            "outcome": found.run.outcome.value,
            "begun": json_time(found.run.begun),
            "problem": found.run.problem or None,
        }
    return {
        "schedule": found.age.every,
        "keep": found.keep,
        "volumes": _VOLUMES in found.parts,
        "images": _IMAGES in found.parts,
        "active": found.active,
        "next_run": json_time(found.next_run),
        "last_run": json_time(found.last_run),
        "result": found.result or None,
        "run": run,
        "last_backup": json_time(found.age.last),
        "problem": found.age.problem or None,
        "lingers": value_or(found.lingers, None),
        "files": [
            {"path": str(one.path), "author": one.author.name.lower()} for one in found.files
        ],
        "errors": [],
    }


def changed_document(changed: Changed) -> dict[str, Any]:
    """Return the JSON form of a change."""
    return {
        **document(changed.schedule),
        "changed": bool(changed.steps) and not changed.dry_run,
        "steps": [plan_steps.document(step) for step in changed.steps],
    }


def read_units(manager: UserManager | None, directory: Path) -> Units:
    """Return the units of scheduled backups, for their removal."""
    found = _files(directory)
    link = files.enabling_link(directory, backup_units.TIMER, backup_units.WANTS)
    if manager is None:
        return Units(found, link)
    timer = manager.unit(backup_units.TIMER)
    if timer.file_state == "enabled":
        link = None
    return Units(found, link, timer, manager.unit(backup_units.SERVICE))


def _files(directory: Path) -> tuple[FoundFile, ...]:
    """Return the service and the timer as they are in the directory of the user's units."""
    return tuple(files.or_problem(directory / name) for name in _UNITS)


def _plan(
    context: Context, manager: UserManager, directory: Path, request: Request
) -> tuple[Step, ...]:
    service, timer = _files(directory)
    state = manager.unit(backup_units.TIMER)
    if request.every == OFF:
        of_service = manager.unit(backup_units.SERVICE)
        return planner.off((service, timer), state, of_service, force=request.force)
    keep = request.keep or backup_units.keep_of(service.text or "") or KEEP
    data_home = str(context.paths.share or "")
    parts = _parts(request, backup_units.parts_of(service.text or ""))
    settings = BackupSettings(program(), request.every, keep, data_home, parts)
    texts = (backup_units.service(settings), backup_units.timer(settings))
    changes = zip((service, timer), texts, strict=True)
    return planner.on(changes, state, force=request.force)


def _parts(request: Request, present: tuple[str, ...]) -> tuple[str, ...]:
    wanted = {_VOLUMES: request.volumes, _IMAGES: request.images}
    kept = [one for one in present if wanted[one] is None]
    return tuple(one for one, given in wanted.items() if given or one in kept)


def _read(context: Context, manager: UserManager, directory: Path) -> Schedule:
    found = _files(directory)
    timer = manager.timer(backup_units.TIMER)
    service = manager.unit(backup_units.SERVICE)
    return Schedule(
        age=age.read(context, directory),
        keep=backup_units.keep_of(found[0].text or ""),
        parts=backup_units.parts_of(found[0].text or ""),
        files=tuple(File(one.path, author(one.text)) for one in found if one.text is not None),
        active=timer.unit.active_state == "active",
        next_run=timer.next_run,
        last_run=timer.last_run,
        run=scheduled_run.load(context.paths.scheduled_record),
        result=_result(service),
        lingers=logind.lingers(context.user, context.paths.root),
    )


def _result(service: UnitState) -> str:
    if service.started is None:
        return ""
    if service.active_state == "activating":
        return "running"
    return service.result
