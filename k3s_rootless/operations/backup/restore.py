"""Restore a backup, also onto another machine and for another user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.backup import files, judgement, replacement, restore_record, slots, staging
from k3s_rootless.backup.facts import Backup, Datastore, Manifest, Phase, Record, Root
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import adapting, kept, placing, surroundings, volume_access
from k3s_rootless.operations.backup import document as documents
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.backup.unfinished import HINT

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.adapting import Adapted
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

Ask = Callable[[str], bool | None]
"""Ask the user a question; None if no user can answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `backup restore`.

    `yes` is the consent of the user. `seconds` limits the wait until K3s is ready. Without
    `volumes`, the volumes on this host stay as they are. With `dry_run`, nothing is changed.
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

    archive: Path
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
    with context.manager() as manager, context.locked():
        cluster = SystemdCluster(context, manager, request.seconds)
        _require_finished(context, cluster)
        here = surroundings.read(context, manager)
        if not here.state.installed:
            raise installation.absence(here.state)
        path = kept.path_of(context, request.archive).absolute()
        with staging.directory(context.paths.backups) as folder:
            backup = check(context, path, here, folder)
            adapted = adapting.adapt(context, backup, here, folder, volumes=request.volumes)
            if request.volumes and backup.manifest.volumes is not None:
                volume_access.require_room(backup, here, cluster.volume_access())
            _report(context, adapted)
            if request.dry_run:
                lines = adapted.lines
                return Restored(path, restored=False, backup=backup, adapted=lines, dry_run=True)
            if not request.yes:
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

    if here.datastore in {Datastore.ETCD, Datastore.EXTERNAL}:
        raise RootlessError(
            f"cannot restore `{path}`: the datastore of this cluster is {here.datastore.value},"
            " and the backup contains SQLite"
        )

    context.notice(f"reading {path}")
    backup = kept.unpacked(folder, path, judge, adapting.is_text)
    for warning in judgement.judge(backup.manifest, here.origin).warnings:
        context.notice(f"warning: {warning}")
    return backup


@dataclass(frozen=True, slots=True)
class Choice:
    """What is restored: the content as adapted to this machine, with or without the volumes."""

    adapted: Adapted
    volumes: bool = True


def place(
    context: Context,
    backup: Backup,
    here: Surroundings,
    cluster: Cluster,
    choice: Choice = Choice(adapting.UNCHANGED),
) -> Restored:
    """Replace the files of K3s by those of a backup that was checked."""
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
    within = placing.volume_access(found, cluster)
    record = replacement.stage(
        context.paths.restore_record,
        backup.path,
        adapted.slots(found),
        judge,
        running=here.state.running,
        staged=replacement.Staged(within, adapted.contents, adapted.expected),
    )
    if within is not None and within.unsupported:
        context.notice(
            f"warning: the file system cannot store {within.unsupported} attributes of files in"
            " volumes"
        )
    try:
        cluster.stop()
    except BaseException:
        replacement.discard(context.paths.restore_record, record, within)
        raise
    placing.finish(context, record, cluster)
    return Restored(
        backup.path, restored=True, backup=backup, skipped=skipped, adapted=adapted.lines
    )


def resume(context: Context, seconds: float) -> Restored:
    """Finish a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return resume_with(context, record, SystemdCluster(context, manager, seconds))


def resume_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Finish a restore: continue it, or the removal or the undo that had begun."""
    file = context.paths.restore_record
    if record.phase is Phase.STAGING:
        placing.give_up(context, record, cluster)
        raise RootlessError(
            "cannot continue: the restore was interrupted before it replaced anything",
            hint=f"repeat it: k3s-rootless backup restore {record.archive}",
        )
    if record.phase is Phase.READY:
        replacement.finish(file, record, placing.volume_access(record.paths, cluster))
        return Restored(record.archive, restored=True)
    cluster.stop()
    if record.phase is Phase.UNDOING:
        placing.put_back(context, record, cluster)
        return Restored(record.archive, restored=False)
    placing.finish(context, record, cluster)
    return Restored(record.archive, restored=True)


def abort(context: Context, seconds: float) -> Restored:
    """Undo a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return abort_with(context, record, SystemdCluster(context, manager, seconds))


def abort_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Undo a restore; what K3s was before is not put back once it was ready with the backup."""
    if record.phase is Phase.STAGING:
        placing.give_up(context, record, cluster)
        return Restored(record.archive, restored=False)
    if record.phase is Phase.READY:
        raise RootlessError(
            "cannot undo the restore: K3s was ready with it, and earlier files are being removed",
            hint="k3s-rootless backup restore --continue",
        )
    cluster.stop()
    placing.put_back(context, record, cluster)
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


def _report(context: Context, adapted: Adapted) -> None:
    for line in adapted.lines:
        context.notice(f"adapting: {line}")
    for warning in adapted.warnings:
        context.notice(f"warning: {warning}")


def _require_finished(context: Context, cluster: Cluster) -> None:
    """Remove what a restore left that had changed nothing; refuse any other unfinished restore."""
    file = context.paths.restore_record
    record = restore_record.load(file)
    if record is None:
        return
    if record.phase is not Phase.STAGING:
        raise RootlessError(
            f"cannot restore: a restore of `{record.archive}` is not finished", hint=HINT
        )
    replacement.discard(file, record, placing.volume_access(record.paths, cluster))


def _unfinished(context: Context) -> Record:
    record = restore_record.load(context.paths.restore_record)
    if record is None:
        raise UsageError(
            "cannot continue or undo a restore: no restore is unfinished",
            hint="k3s-rootless backup restore FILE",
        )
    return record


def _require_consent(backup: Backup, ask: Ask) -> None:
    made = backup.manifest.created.strftime("%Y-%m-%d %H:%M UTC")
    answer = ask(
        f"Restore the cluster as it was at {made}? All pods stop, and everything that was written"
        " to the cluster since then is lost."
    )
    if answer is None:
        raise UsageError(
            "cannot ask for confirmation of the restore: this is no terminal",
            hint="confirm it with --yes",
        )
    if not answer:
        raise RootlessError("nothing was restored")
