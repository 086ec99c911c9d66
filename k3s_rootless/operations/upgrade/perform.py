"""Upgrade K3s: back up, stop, copy what changed, switch the release, start, and wait.

If the new release does not get ready, the earlier one is used again, with its datastore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import database, files, names, replacement
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Datastore, Kind, Phase, Record, Replaced, Root
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations import consent
from k3s_rootless.operations.backup import create, transaction, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.releases import get
from k3s_rootless.operations.upgrade import current, resume, unpacking
from k3s_rootless.operations.upgrade import plan as plans
from k3s_rootless.operations.upgrade.ending import Ending, remember
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.upgrade.current import Current
    from k3s_rootless.operations.upgrade.plan import Plan, Request
    from k3s_rootless.service.systemd.user import UserManager

Show = Callable[["Plan"], None]
"""Show what an upgrade will do, before anything changes."""
_ACTION = "upgrade K3s"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The result of an upgrade; `downtime` is in seconds, None if nothing was stopped.

    `backup` is the backup for a rollback.
    """

    plan: Plan
    changed: bool
    downtime: float | None = None
    backup: Path | None = None


def dry_run(context: Context, request: Request, limits: Limits | None = None) -> Plan:
    """Return what `upgrade` would do now. Raises the errors of `plan.make`."""
    unfinished.require_none(context)
    active.require_none(context, _ACTION)
    with context.manager() as manager:
        return plans.make(context, manager, request, limits)


def upgrade(
    context: Context, request: Request, ask: Ask, show: Show, limits: Limits | None = None
) -> Upgraded:
    """Upgrade K3s; `show` and `ask` are called before anything changes.

    Raises the errors of `plan.make`, UsageError without consent, RootlessError with the cause if
    the new release does not get ready and the earlier one is used again.
    """
    active.require_none(context, _ACTION)
    with context.manager() as manager:
        with context.locked():
            resume.clear(context, manager, request.seconds)
        planned = plans.make(context, manager, request, limits)
        if planned.switch is None:
            return Upgraded(planned, changed=False)
        show(planned)
        require_consent(planned, request, ask)
        fetch(context, planned.now, planned.after, request.mirror, limits)
        with exclusive(context, manager, planned.now, request.seconds) as (now, cluster):
            return switched(context, replace(planned, now=now), cluster)


def fetch(
    context: Context, now: Current, release: str, mirror: str | None, limits: Limits | None
) -> None:
    """Get the other release, and let it unpack itself, while K3s still runs."""
    get.get(context, get.Request(release, mirror), limits)
    if now.here.state.running:
        unpacking.ahead(context, now.here.data, release)


@contextmanager
def exclusive(
    context: Context, manager: UserManager, now: Current, seconds: float
) -> Iterator[tuple[Current, Cluster]]:
    """Lock, and yield the current release, read again, and the cluster. Raises RootlessError."""
    with context.locked():
        unfinished.require_none(context)
        now = current.again(context, manager, now)
        yield now, SystemdCluster(context, manager, seconds, patient=True)


def require_consent(planned: Plan, request: Request, ask: Ask) -> None:
    """Raise UsageError if no user can answer, RootlessError if the answer is no."""
    if request.yes:
        return
    question = f"Upgrade K3s from {planned.now.text} to {planned.after} now? All pods stop."
    if planned.switch is not None and not planned.backup:
        question += " There is no way back (--no-backup)."
    consent.require(
        ask,
        question,
        unanswered="cannot ask for confirmation of the upgrade: this is no terminal",
        hint="confirm it with --yes",
        refused="nothing was changed",
    )


def switched(context: Context, planned: Plan, cluster: Cluster) -> Upgraded:
    """Back up the cluster, and switch it to the release, which is on this host."""
    here = planned.now.here
    running = here.state.running
    archive = None
    if planned.backup:
        context.notice("creating a backup")
        origin = replace(here.origin, k3s=planned.now.text)
        here = replace(here, origin=origin)
        archive = create.write(context, create.Request(), here, None).path
    record = Record(
        Phase.STAGING, archive, changed_paths(here, data=planned.backup), running, Kind.UPGRADE
    )
    record = _stopped(context, replace(record, switch=planned.switch), here, cluster)
    ending = Ending(context, here)
    finish(context, record, cluster, ending)
    return Upgraded(planned, changed=True, downtime=ending.downtime, backup=ending.backup)


def finish(context: Context, record: Record, cluster: Cluster, ending: Ending) -> None:
    """Complete a transaction, and remember it also if it fails."""
    try:
        transaction.complete(context, record, cluster, ending)
    except KeyboardInterrupt:
        context.notice(
            f"the {record.name} is not finished: `k3s-rootless up` continues it, and"
            f" `{transaction.ABORTS[record.kind]}` undoes it"
        )
        raise
    except RootlessError as error:
        if error.details.get("rolled_back"):
            remember(context, record, done=False, backup=record.archive)
        raise


def changed_paths(here: Surroundings, *, data: bool) -> tuple[Replaced, ...]:
    """Return the paths that a new release changes: the unit, and with `data` the state of K3s."""
    drop_ins = here.roots[Root.UNIT]
    paths = [drop_ins.parent / UNIT, *files.ours(drop_ins)]
    if data:
        directory = here.data / names.DATABASE_DIRECTORY
        paths += [directory / name for name in names.DATABASE_FILES]
        paths += [here.data / name for name in (layout.ETCD, *names.SINGLE, *names.TREES)]
    return tuple(Replaced(path, new=False, copied=True) for path in paths)


def _stopped(context: Context, record: Record, here: Surroundings, cluster: Cluster) -> Record:
    """Copy the datastore while K3s runs, and then stop it. Raises RootlessError.

    The files of etcd are copied after the stop: only etcd can read them while it runs.
    """
    file = context.paths.transaction
    replacement.begin(file, record)
    try:
        database_file = here.data / names.DATABASE_DIRECTORY / names.DATABASE
        is_sqlite = here.datastore is Datastore.SQLITE
        if is_sqlite and record.running and record.archive is not None:
            database.copy_live(database_file, replacement.copy_of(database_file))
        return stop(context, record, cluster)
    except BaseException:
        replacement.discard(file, record)
        raise


def stop(context: Context, record: Record, cluster: Cluster) -> Record:
    """Stop K3s, and return the record with the time. Raises RootlessError."""
    record = replace(record, stopped=datetime.now(UTC))
    records.save(context.paths.transaction, record)
    cluster.stop()
    return record
