"""Decide what a reset removes, and whether the cluster can be reset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup.facts import Datastore, Kind, Phase, Root
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.service.act import emptying
from k3s_rootless.service.act.emptying import Content

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Record
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `reset`.

    `backup` creates a backup first. `yes` is the consent of the user. `seconds` limits the wait
    until K3s is ready.
    """

    seconds: float
    backup: bool = True
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reset does.

    `content` are the paths of the cluster in the data directory `data`. With `volumes`, the backup
    contains the volumes. `running` is True if K3s is started afterwards. `unfinished` is True if
    this finishes an interrupted reset.
    """

    data: Path
    content: Content
    backup: bool
    running: bool
    volumes: bool = False
    unfinished: bool = False

    @property
    def changes(self) -> bool:
        """True if there is a cluster to remove."""
        return bool(self.content.moved) or self.unfinished


def read(context: Context, here: Surroundings, request: Request) -> Plan:
    """Return what a reset does now. Raises UsageError, RootlessError."""
    record = begun(context)
    if record is not None and record.data is not None and has_moved(record):
        left = Content(emptying.CONTENT)
        return Plan(record.data, left, backup=False, running=record.running, unfinished=True)
    _require_possible(here)
    running = not here.state.at_rest or _was_running(context, here, record)
    found = emptying.find(here.data, context.paths.home, context.uid)
    backup = request.backup and emptying.DATABASE in found.moved
    volumes = backup and _has_volumes(here.roots[Root.VOLUMES])
    return Plan(here.data, found, backup, running, volumes)


def begun(context: Context) -> Record | None:
    """Return the record of an interrupted reset; None if there is none.

    Raises RootlessError if another transaction, or a rotation of the token, is not finished.
    """
    unfinished.require_no_rotation(context)
    record = unfinished.found(context)
    if record is None or record.only_stopped:
        return None
    if record.kind is not Kind.RESET:
        raise unfinished.error(record)
    return record


def _require_possible(here: Surroundings) -> None:
    if not here.state.installed:
        raise installation.absence(here.state)
    if here.datastore is Datastore.EXTERNAL:
        raise RootlessError(
            "cannot reset the cluster: its datastore is external",
            hint="empty that database with its own programs",
        )
    if here.in_use and here.state.at_rest:
        raise RootlessError(
            f"cannot reset the cluster: a K3s that the unit did not start uses {here.data}",
            hint="stop this K3s first; find it with: ps -fu $(id -u)",
        )
    if ".." in here.data.parts:
        raise UsageError(
            f"cannot reset {here.data}: its path contains `..`",
            hint=f"use the path without `..`: {here.data.resolve()}",
        )


def has_moved(record: Record) -> bool:
    """Return whether an interrupted reset has changed something."""
    if record.phase is not Phase.STAGING:
        return True
    return record.data is not None and emptying.has_moved(record.data)


def _was_running(context: Context, here: Surroundings, record: Record | None) -> bool:
    """Return whether an interrupted command has stopped K3s."""
    if record is not None:
        return record.running
    return unfinished.stopped(context, here.state)


def _has_volumes(root: Path) -> bool:
    try:
        return any(root.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True  # only root of the namespace may list it
