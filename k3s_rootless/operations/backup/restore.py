"""Restore a backup, also onto another machine and for another user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import trust
from k3s_rootless.backup import files, judgement, replacement, slots, staging
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import (
    Backup,
    Datastore,
    Kind,
    Manifest,
    Phase,
    Record,
    Root,
    Switch,
)
from k3s_rootless.backup.new_content import Staged
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import consent, installation
from k3s_rootless.operations.backup import (
    adapting,
    kept,
    stopping,
    surroundings,
    transaction,
    unfinished,
    volume_access,
)
from k3s_rootless.operations.backup import document as documents
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.adapting import Adapted
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context


_ABLE = (
    "anyone who changes a backup can run workloads in the restored cluster, and programs as you,"
    " through K3s's configuration and the templates of containerd"
)


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `backup restore`.

    `yes` is the consent of the user. `seconds` limits the time without progress until K3s is ready.
    Without `volumes`, the volumes on this host stay as they are. With `dry_run`, nothing is
    changed.
    """

    archive: Path
    seconds: float
    yes: bool = False
    volumes: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: `backup` is None if an unfinished restore was continued or undone.

    `skipped` are entries of the backup that were left out. `adapted` describes what was changed for
    this machine and user.
    """

    archive: Path | None
    restored: bool
    backup: Backup | None = None
    skipped: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    dry_run: bool = False


def restore(context: Context, request: Request, ask: Ask) -> Restored:
    """Restore a backup, and wait until K3s is ready with it.

    If K3s does not get ready, the earlier state is put back. Raises RootlessError, before anything
    is changed if the backup cannot be used here.
    """
    active.require_none(context, "restore a backup")
    with context.manager() as manager, context.locked():
        cluster = SystemdCluster(context, manager, request.seconds, patient=True)
        _discard_unchanged(context, cluster)
        here = surroundings.read(context, manager)
        if not here.state.installed:
            raise installation.absence(here.state)
        path = kept.path_of(context, request.archive).absolute()
        risk = trust.risk(path)
        if risk:
            context.notice(f"warning: {risk}: {_ABLE}")
        with staging.directory(context.paths.backups) as folder:
            backup = check(context, path, here, folder)
            adapted = adapting.adapt(context, backup, here, folder, volumes=request.volumes)
            if request.volumes and backup.manifest.volumes is not None:
                volume_access.require_room(backup, here, cluster.volume_access())
            report(context, adapted)
            if request.dry_run:
                lines = adapted.lines
                return Restored(path, restored=False, backup=backup, adapted=lines, dry_run=True)
            if not request.yes:
                if risk:
                    _require_trust(path, ask)
                _require_consent(backup, ask)
            return place(context, backup, here, cluster, Choice(adapted, volumes=request.volumes))


def check(context: Context, path: Path, here: Surroundings, folder: Path) -> Backup:
    """Read a backup completely, and judge whether it can be restored here.

    Its database and the texts in it are unpacked to `folder`. Raises RootlessError.
    """

    def judge(manifest: Manifest) -> None:
        found = judgement.judge(manifest, here.origin)
        if found.refusals:
            raise RootlessError(f"cannot restore `{path}`: {'; '.join(found.refusals)}")

    if here.datastore is Datastore.EXTERNAL:
        raise RootlessError(
            f"cannot restore `{path}`: the datastore of this cluster is external, and a backup is"
            " of SQLite or embedded etcd"
        )

    context.notice(f"reading {path}")
    backup = kept.unpacked(folder, path, judge, adapting.is_text)
    for warning in judgement.judge(backup.manifest, here.origin).warnings:
        context.notice(f"warning: {warning}")
    return backup


@dataclass(frozen=True, slots=True)
class Choice:
    """What is restored: the content as adapted to this machine, with or without the volumes.

    For a rollback, `copied` and `switch` are those of `new_content.Staged`.
    """

    adapted: Adapted
    volumes: bool = True
    copied: tuple[Path, ...] = ()
    switch: Switch | None = None


ORDINARY = Choice(adapting.UNCHANGED)


def place(
    context: Context,
    backup: Backup,
    here: Surroundings,
    cluster: Cluster,
    choice: Choice = ORDINARY,
) -> Restored:
    """Replace the files of K3s by those of a backup that was checked."""
    with stopping.remembered(context):
        record, skipped = staged(context, backup, here, cluster, choice)
        try:
            cluster.stop()
        except BaseException:
            transaction.discard(context, record, cluster)
            raise
    transaction.complete(context, record, cluster)
    return Restored(
        backup.path, restored=True, backup=backup, skipped=skipped, adapted=choice.adapted.lines
    )


def staged(
    context: Context, backup: Backup, here: Surroundings, cluster: Cluster, choice: Choice
) -> tuple[Record, tuple[str, ...]]:
    """Write the content of a checked backup beside the files of K3s.

    Returns the record, and the entries that are left out.
    """
    adapted = choice.adapted
    configuration = here.settings.config_path
    if adapted.config is not None:
        configuration = adapted.config
    existing = (*files.templates(here.data), *files.ours(here.roots[Root.UNIT]))
    manifest = backup.manifest
    found = slots.of(manifest, here.roots, configuration, existing, volumes=choice.volumes)
    skipped = slots.skipped(manifest, here.roots, configuration)
    for name in skipped:
        context.notice(f"not restored: {name} (K3s does not read this file, or it is not yours)")

    def judge(again: Manifest) -> None:
        if again != manifest:
            raise RootlessError(f"cannot restore `{backup.path}`: it changed after it was checked")

    context.notice("writing the files of the backup beside those of K3s")
    within = transaction.volume_access(found, cluster)
    record = replacement.stage(
        context.paths.transaction,
        backup.path,
        adapted.slots(found),
        judge,
        running=was_running(context, here),
        staged=Staged(within, adapted.contents, adapted.expected, choice.copied, choice.switch),
    )
    if within is not None and within.unsupported:
        context.notice(
            f"warning: the file system cannot store {within.unsupported} attributes of files in"
            " volumes"
        )
    return record, skipped


def was_running(context: Context, here: Surroundings) -> bool:
    """Return whether K3s runs, or would run if a backup with --stop had not been interrupted."""
    return here.state.running or unfinished.stopped(context, here.state)


def resume(context: Context, seconds: float) -> Restored:
    """Finish a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return resume_with(context, record, SystemdCluster(context, manager, seconds, patient=True))


def resume_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Finish a restore: continue it, or the removal or the undo that had begun."""
    ended = transaction.resume(context, record, cluster)
    if ended.outcome is transaction.Outcome.DISCARDED:
        raise RootlessError(
            "cannot continue: the restore was interrupted before it replaced anything",
            hint=f"repeat it: k3s-rootless backup restore {record.archive}",
        )
    return Restored(record.archive, ended.outcome is transaction.Outcome.FINISHED)


def abort(context: Context, seconds: float) -> Restored:
    """Undo a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return abort_with(context, record, SystemdCluster(context, manager, seconds, patient=True))


def abort_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Undo a restore; what K3s was before is not put back once it was ready with the backup."""
    transaction.abort(context, record, cluster)
    return Restored(record.archive, restored=False)


def document(done: Restored) -> dict[str, Any]:
    """Return the JSON form of the result."""
    backup = None
    if done.backup is not None:
        backup = documents.backup(done.backup.path, done.backup.size, done.backup.manifest)
    return {
        "file": str(done.archive),
        "restored": done.restored,
        "dry_run": done.dry_run,
        "backup": backup,
        "skipped": list(done.skipped),
        "adapted": list(done.adapted),
        "errors": [],
    }


def report(context: Context, adapted: Adapted) -> None:
    """Report what is changed for this machine, and the warnings."""
    for line in adapted.lines:
        context.notice(f"adapting: {line}")
    for warning in adapted.warnings:
        context.notice(f"warning: {warning}")


def _discard_unchanged(context: Context, cluster: Cluster) -> None:
    """Remove what a transaction left that had changed nothing; refuse any other one.

    A K3s that a backup has stopped is started after the restore. A rotation of the token is refused
    as well, because it would not recognise another datastore.
    """
    unfinished.require_no_rotation(context)
    record = unfinished.found(context)
    if record is None or record.only_stopped:
        return
    if record.phase is not Phase.STAGING or record.kind is Kind.RESET:
        raise unfinished.error(record)
    transaction.discard(context, record, cluster)


def _unfinished(context: Context) -> Record:
    record = records.load(context.paths.transaction)
    if record is None or record.kind is not Kind.RESTORE:
        raise UsageError(
            "cannot continue or undo a restore: no restore is unfinished",
            hint="k3s-rootless backup restore FILE",
        )
    return record


def _require_trust(path: Path, ask: Ask) -> None:
    consent.require(
        ask,
        f"Another user could have changed {path}. Do you trust its content?",
        unanswered="cannot ask whether you trust the backup: this is no terminal",
        hint="look at the owner and the mode of the file, then confirm it with --yes",
        refused="nothing was restored",
    )


def _require_consent(backup: Backup, ask: Ask) -> None:
    made = backup.manifest.created.strftime("%Y-%m-%d %H:%M UTC")
    consent.require(
        ask,
        f"Restore the cluster as it was at {made}? All pods stop, and everything that was written"
        " to the cluster since then is lost.",
        unanswered="cannot ask for confirmation of the restore: this is no terminal",
        hint="confirm it with --yes",
        refused="nothing was restored",
    )
