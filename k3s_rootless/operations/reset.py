"""Replace the cluster by an empty one, with the same configuration, releases and images."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import interruption
from k3s_rootless.backup import beside, replacement
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Kind, Phase, Record
from k3s_rootless.errors import RootlessError, error_document
from k3s_rootless.operations import consent, purge, reset_plan
from k3s_rootless.operations.backup import create, surroundings, volume_access
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active
from k3s_rootless.service.act import emptying

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.purge import Purged
    from k3s_rootless.operations.reset_plan import Plan, Request

_WITHOUT_BACKUP = "k3s-rootless reset --no-backup"


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a reset: its plan, the new backup, and the removal of the old files."""

    plan: Plan
    backup: Path | None
    removal: Purged | None

    @property
    def problem(self) -> str:
        """A message about files that could not be removed; empty if all were removed."""
        if self.removal is None:
            return ""
        return self.removal.problem

    @property
    def removed(self) -> int:
        """The number of files and directories that were removed."""
        if self.removal is None:
            return 0
        return self.removal.removed


def plan(context: Context, request: Request) -> Plan:
    """Return what `reset` would do now. Raises UsageError, RootlessError."""
    with context.manager() as manager:
        return reset_plan.read(context, surroundings.read(context, manager), request)


def reset(context: Context, request: Request, ask: Ask) -> Done:
    """Remove the cluster, and start an empty one if K3s was running.

    Finishes an interrupted reset without a question. Raises UsageError or RootlessError before
    anything is changed; NotReady if K3s does not get ready.
    """
    active.require_none(context, "reset the cluster")
    with context.manager() as manager, context.locked():
        cluster = SystemdCluster(context, manager, request.seconds)
        withdraw(context, cluster)
        here = surroundings.read(context, manager)
        found = reset_plan.read(context, here, request)
        backup = None
        if found.changes and not found.unfinished:
            if not request.yes:
                _require_consent(found, ask)
            _require_no_leftovers(context, found.data, cluster)
            backup = _backed_up(context, here, found)
        return perform(context, found, backup, cluster)


def perform(context: Context, found: Plan, backup: Path | None, cluster: Cluster) -> Done:
    """Stop K3s, move its files away, start it, and remove the files.

    Without files, only start K3s if an interrupted command has stopped it, and wait for it: an
    interrupted reset can have just started it.
    """
    if not found.changes:
        if found.running:
            _start(cluster)
            cluster.wait()
        return Done(found, None, None)
    file = context.paths.transaction
    # A signal is handled when K3s runs again: the moves take no time.
    with interruption.delayed():
        record = _begun(context, found)
        if record.phase is Phase.STAGING:
            _move(context, found, cluster)
            with beside.reported("reset the cluster"):
                records.advance(file, record, Phase.PLACED)
        cluster.release()
        if found.running:
            _start(cluster)
    within = cluster.volume_access()
    ready = found.running and within.needs_k3s
    if ready:
        cluster.wait()
    removal = purge.remove_reset(context, found.data, within)
    replacement.close(file)
    if found.running and not ready:
        cluster.wait()
    return Done(found, backup, removal)


def document(found: Plan, done: Done | None) -> dict[str, Any]:
    """Return the JSON form of a plan, and of its result; `done` is None for a dry run."""
    content: dict[str, Any] = {
        "changed": done is not None and found.changes,
        "data": str(found.data),
        "unfinished": found.unfinished,
        "removes": [str(found.data / name) for name in found.content.moved],
        "kept": [
            {"path": str(found.data / name), "reason": why} for name, why in found.content.kept
        ],
        "backs_up": found.backup,
        "backs_up_volumes": found.volumes,
        "backup": None,
        "starts": found.running,
        "removed": 0,
        "errors": [],
    }
    if done is None:
        return content
    content["removed"] = done.removed
    if done.backup is not None:
        content["backup"] = str(done.backup)
    if done.problem:
        content["errors"] = [error_document(done.problem)]
    return content


def withdraw(context: Context, cluster: Cluster) -> None:
    """Undo an interrupted reset that has moved nothing: start K3s again if it has stopped K3s."""
    record = reset_plan.begun(context)
    if record is None or record.data is None or reset_plan.has_moved(record):
        return
    context.notice("a reset was interrupted before it changed anything")
    cluster.release()
    emptying.discard(record.data)
    replacement.close(context.paths.transaction)
    if record.running:
        _start(cluster)


def _start(cluster: Cluster) -> None:
    if not cluster.is_running():
        cluster.start()


def _require_no_leftovers(context: Context, data: Path, cluster: Cluster) -> None:
    """Remove what an earlier reset could not remove. Raises RootlessError if that fails again."""
    removal = purge.remove_reset(context, data, cluster.volume_access())
    if removal.problem:
        raise RootlessError(removal.problem, hint=_remove_hint(removal))


def _remove_hint(removal: Purged) -> str:
    return f"remove {removal.directory} yourself, with the help of an administrator"


def _backed_up(context: Context, here: Surroundings, found: Plan) -> Path | None:
    if not found.backup:
        return None
    try:
        if found.volumes:
            access = volume_access.of(context, here.settings.rootlesskit_state)
            access.require(without_k3s=not here.in_use)
        return create.write(context, create.Request(volumes=found.volumes), here, None).path
    except RootlessError as error:
        raise RootlessError(
            f"cannot reset the cluster: a backup of it fails: {error.message}",
            hint=f"to reset it without a backup, run: {_WITHOUT_BACKUP}",
        ) from error


def _begun(context: Context, found: Plan) -> Record:
    record = reset_plan.begun(context)
    if record is not None:
        return record
    record = Record(
        Phase.STAGING,
        None,
        (),
        found.running,
        Kind.RESET,
        stopped=datetime.now(UTC),
        data=found.data,
    )
    replacement.begin(context.paths.transaction, record)
    return record


def _move(context: Context, found: Plan, cluster: Cluster) -> None:
    """Stop K3s and move its files. Raises RootlessError after the earlier state is back."""
    try:
        cluster.stop()
        cluster.hold()
        context.notice("moving the files of the cluster away")
        emptying.move(found.data, found.content.moved, context.paths.home, context.uid)
    except RootlessError:
        if not emptying.has_moved(found.data):
            _put_back(context, found, cluster)
        raise


def _put_back(context: Context, found: Plan, cluster: Cluster) -> None:
    """Start K3s again after a reset that has moved nothing, if it was running."""
    # Without the record, the drop-in has no effect.
    replacement.close(context.paths.transaction)
    with suppress(RootlessError):
        cluster.release()
    try:
        if found.running:
            _start(cluster)
    except RootlessError as error:
        context.notice(f"K3s is stopped, and cannot be started again: {error.message}")


def _require_consent(found: Plan, ask: Ask) -> None:
    saved = "no backup is created"
    if found.backup:
        saved = "a backup is created first"
    if found.volumes:
        saved = "a backup that contains them is created first"
    consent.require(
        ask,
        f"Permanently remove the cluster in {found.data} with all its volumes ({saved})?",
        unanswered="cannot ask for confirmation of the reset: there is no terminal",
        hint="to reset the cluster without a question, add --yes",
        refused="nothing was reset",
    )
