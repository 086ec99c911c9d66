"""Roll back to an earlier release, with the backup that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless.backup import database, moving, names, staging, written
from k3s_rootless.backup.facts import Backup, Datastore, Root
from k3s_rootless.binaries import tags
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import version
from k3s_rootless.operations import consent
from k3s_rootless.operations.backup import adapting, restore, transaction, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.launch.reported import same
from k3s_rootless.operations.upgrade import current, matching, perform, resume
from k3s_rootless.operations.upgrade import plan as plans
from k3s_rootless.operations.upgrade.ending import Ending
from k3s_rootless.paths import UNIT
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.backup.facts import Switch
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.operations.backup.adapting import Adapted
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.upgrade.current import Current
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `rollback`; `wanted` is a release, None for the one before."""

    seconds: float
    wanted: str | None = None
    mirror: str | None = None
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """What was written since a backup: revisions of the datastore, and objects by resource.

    `revisions` is None if it is not known.
    """

    since: datetime
    revisions: int | None
    objects: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback does."""

    now: Current
    after: str
    backup: Backup
    loss: Loss
    switch: Switch
    adapted: Adapted


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The result of a rollback; `downtime` is in seconds, None if K3s was not running."""

    plan: Plan
    changed: bool
    downtime: float | None = None


Show = Callable[[Plan], None]
"""Show what a rollback will do, before anything changes."""
_ACTION = "go back to another release"


def dry_run(context: Context, request: Request) -> Plan:
    """Return what `rollback` would do now. Raises UsageError, RootlessError."""
    unfinished.require_none(context)
    active.require_none(context, _ACTION)
    with context.manager() as manager:
        return _plan(context, manager, request)


def rollback(
    context: Context,
    request: Request,
    ask: Ask,
    show: Show,
    limits: Limits | None = None,
) -> RolledBack:
    """Roll back to an earlier release; `show` and `ask` are called before anything changes.

    Raises UsageError without consent, RootlessError if it is not possible, or if the earlier
    release does not get ready and the later one is used again.
    """
    active.require_none(context, _ACTION)
    with context.manager() as manager:
        with context.locked():
            resume.clear(context, manager, request.seconds)
        planned = _plan(context, manager, request)
        show(planned)
        if not request.yes:
            _require_consent(planned, ask)
        perform.fetch(context, planned.now, planned.after, request.mirror, limits)
        with perform.exclusive(context, manager, planned.now, request.seconds) as (now, cluster):
            return switched(context, replace(planned, now=now), cluster)


def switched(context: Context, planned: Plan, cluster: Cluster) -> RolledBack:
    """Replace the files of K3s by those of the backup, and switch to its release."""
    here = planned.now.here
    unit = here.roots[Root.UNIT].parent / UNIT
    choice = restore.Choice(planned.adapted, volumes=False, copied=(unit,), switch=planned.switch)
    record, _ = restore.staged(context, planned.backup, here, cluster, choice)
    try:
        record = perform.stop(context, record, cluster)
    except BaseException:
        transaction.discard(context, record, cluster)
        raise
    ending = Ending(context, here)
    perform.finish(context, record, cluster, ending)
    return RolledBack(planned, changed=True, downtime=ending.downtime)


def _plan(context: Context, manager: UserManager, request: Request) -> Plan:
    now = current.read(context, manager)
    wanted = _wanted(context, now, request)
    found = matching.find(context, wanted)
    if found is None:
        raise RootlessError(
            f"cannot roll back to K3s {wanted}: there is no backup of it, and an older release"
            " cannot be expected to read the datastore of a newer one",
            hint="see which backups there are: k3s-rootless backup list",
        )
    SystemdCluster(context, manager, 0).unit_steps(wanted)
    here = plans.with_release(now, wanted).here
    with staging.directory(context.paths.backups) as folder:
        backup = restore.check(context, found.path, here, folder)
        adapted = _usable_here(context, backup, here, folder)
    switch = current.switch(context.paths.own, now, wanted)
    return Plan(now, wanted, backup, _loss(now, backup), switch, adapted)


def _usable_here(context: Context, backup: Backup, here: Surroundings, folder: Path) -> Adapted:
    """Require a backup of this user and machine; warn about PersistentVolumes without data.

    The directory of volumes becomes that of the backup, with the configuration. Raises
    RootlessError.
    """
    volumes = backup.manifest.origin.roots.get(Root.VOLUMES, "")
    roots = {**here.origin.roots, Root.VOLUMES: volumes}
    here = replace(here, origin=replace(here.origin, roots=roots))
    other = tuple(moving.changes(backup.manifest, here.origin))
    if other:
        raise RootlessError(
            f"cannot roll back with `{backup.path}`: {'; '.join(other)}",
            hint=f"restore it with the release in use: k3s-rootless backup restore {backup.path}",
        )
    adapted = adapting.adapt(context, backup, here, folder, volumes=False)
    restore.report(context, adapted)
    return adapted


def _wanted(context: Context, now: Current, request: Request) -> str:
    """Return the release to go back to. Raises UsageError, RootlessError."""
    if request.wanted is None:
        before = matching.release_before(context, now.text)
        if before is None or same(before, now.text):
            raise RootlessError(
                f"cannot roll back: no release before K3s {now.text} is known",
                hint="name a release of which there is a backup: k3s-rootless backup list",
            )
        return before
    found = tags.parse(request.wanted)
    if not isinstance(found, tags.Exact):
        raise UsageError(
            f"cannot roll back to `{printable(request.wanted)}`: name a release such as"
            " v1.36.3+k3s1",
            hint="see the releases of your backups: k3s-rootless backup list",
        )
    release = version.parse(found.tag)
    if release is not None and release >= now.release:
        raise RootlessError(
            f"cannot roll back to K3s {found.tag}: K3s {now.text} is in use, which is not newer",
            hint=f"k3s-rootless upgrade {found.tag}",
        )
    return found.tag


def _loss(now: Current, backup: Backup) -> Loss:
    manifest = backup.manifest
    names_since: tuple[str, ...] = ()
    revisions = None
    stores = {manifest.datastore, now.here.datastore}
    if manifest.revision is not None and stores == {Datastore.SQLITE}:
        file = now.here.data / names.DATABASE_DIRECTORY / names.DATABASE
        names_since = database.written_since(file, manifest.revision)
        revisions = len(names_since)
    return Loss(manifest.created, revisions, written.counted(names_since))


def _require_consent(planned: Plan, ask: Ask) -> None:
    """Raise UsageError if no user can answer, RootlessError if the answer is no."""
    consent.require(
        ask,
        f"Roll back K3s from {planned.now.text} to {planned.after} now? All pods stop, and"
        f" everything that was written to the cluster since"
        f" {planned.loss.since:%Y-%m-%d %H:%M:%S} UTC is lost.",
        unanswered="cannot ask for confirmation of the rollback: this is no terminal",
        hint="confirm it with --yes",
        refused="nothing was changed",
    )
