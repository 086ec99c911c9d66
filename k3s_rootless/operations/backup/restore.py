"""Restore a backup onto the machine and the user that it is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.backup import files, judgement, replacement, slots
from k3s_rootless.backup.facts import Backup, Datastore, Manifest, Phase, Record, Root
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import document as documents
from k3s_rootless.operations.backup import kept, surroundings, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.backup.unfinished import HINT

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

Ask = Callable[[str], bool | None]
"""Ask the user a question; None if no user can answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `backup restore`.

    `yes` is the consent of the user. `seconds` limits the wait until K3s is ready.
    """

    archive: Path
    seconds: float
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: `backup` is None if an unfinished restore was continued or undone.

    `skipped` are entries of the backup that were left out.
    """

    archive: Path
    restored: bool
    backup: Backup | None = None
    skipped: tuple[str, ...] = ()


def restore(context: Context, request: Request, ask: Ask) -> Restored:
    """Restore a backup, and wait until K3s is ready with it.

    If K3s does not get ready, the earlier state is put back. Raises RootlessError, before anything
    is changed if the backup cannot be used here.
    """
    with context.manager() as manager, context.locked():
        _require_finished(context)
        unfinished.require_none(context)
        here = surroundings.read(context, manager)
        if not here.state.installed:
            raise installation.absence(here.state)
        path = kept.path_of(context, request.archive).absolute()
        backup = check(context, path, here)
        if not request.yes:
            _require_consent(backup, ask)
        cluster = SystemdCluster(context, manager, request.seconds)
        return place(context, backup, here, cluster)


def check(context: Context, path: Path, here: Surroundings) -> Backup:
    """Read a backup completely, and judge whether it can be restored here.

    Raises RootlessError.
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
    backup = kept.verified(context, path, judge)
    for warning in judgement.judge(backup.manifest, here.origin).warnings:
        context.notice(f"warning: {warning}")
    return backup


def place(context: Context, backup: Backup, here: Surroundings, cluster: Cluster) -> Restored:
    """Replace the files of K3s by those of a backup that was checked."""
    configuration = here.settings.config_path
    existing = (*files.templates(here.data), *files.ours(here.roots[Root.UNIT]))
    found = slots.of(backup.manifest, here.roots, configuration, existing)
    skipped = slots.skipped(backup.manifest, here.roots, configuration)
    for name in skipped:
        context.notice(f"not restored: {name} (K3s does not read this file, or it is not yours)")

    def judge(manifest: Manifest) -> None:
        if manifest != backup.manifest:
            raise RootlessError(f"cannot restore `{backup.path}`: it changed after it was checked")

    context.notice("writing the files of the backup beside those of K3s")
    record = replacement.stage(
        context.paths.restore_record, backup.path, found, judge, running=was_running(context, here)
    )
    try:
        cluster.stop()
    except BaseException:
        replacement.discard(context.paths.restore_record, record)
        raise
    unfinished.forget_stop(context)
    _finish(context, record, cluster)
    return Restored(backup.path, restored=True, backup=backup, skipped=skipped)


def was_running(context: Context, here: Surroundings) -> bool:
    """Return whether K3s runs, or would run if a backup with --stop had not been interrupted."""
    return here.state.running or unfinished.stopped(context, here.state) is not None


def resume(context: Context, seconds: float) -> Restored:
    """Finish a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return resume_with(context, record, SystemdCluster(context, manager, seconds))


def resume_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Finish a restore: continue it, or the removal or the undo that had begun."""
    file = context.paths.restore_record
    if record.phase is Phase.STAGING:
        _give_up(context, record, cluster)
        raise RootlessError(
            "cannot continue: the restore was interrupted before it replaced anything",
            hint=f"repeat it: k3s-rootless backup restore {record.archive}",
        )
    if record.phase is Phase.READY:
        replacement.finish(file, record)
        return Restored(record.archive, restored=True)
    cluster.stop()
    if record.phase is Phase.UNDOING:
        _put_back(context, record, cluster)
        return Restored(record.archive, restored=False)
    _finish(context, record, cluster)
    return Restored(record.archive, restored=True)


def abort(context: Context, seconds: float) -> Restored:
    """Undo a restore that was interrupted. Raises UsageError if there is none, RootlessError."""
    with context.manager() as manager, context.locked():
        record = _unfinished(context)
        return abort_with(context, record, SystemdCluster(context, manager, seconds))


def abort_with(context: Context, record: Record, cluster: Cluster) -> Restored:
    """Undo a restore; what K3s was before is not put back once it was ready with the backup."""
    if record.phase is Phase.STAGING:
        _give_up(context, record, cluster)
        return Restored(record.archive, restored=False)
    if record.phase is Phase.READY:
        raise RootlessError(
            "cannot undo the restore: K3s was ready with it, and earlier files are being removed",
            hint="k3s-rootless backup restore --continue",
        )
    cluster.stop()
    _put_back(context, record, cluster)
    return Restored(record.archive, restored=False)


def document(done: Restored) -> dict[str, Any]:
    """Return the JSON form of the result."""
    backup = None
    if done.backup is not None:
        backup = documents.backup(done.backup.path, done.backup.size, done.backup.manifest)
    return {
        "file": str(done.archive),
        "restored": done.restored,
        "backup": backup,
        "skipped": list(done.skipped),
        "errors": [],
    }


def _finish(context: Context, record: Record, cluster: Cluster) -> None:
    """Replace the files, start K3s, and remove what was replaced; K3s is stopped.

    Raises RootlessError after the earlier state is put back.
    """
    file = context.paths.restore_record
    try:
        cluster.hold()
        context.notice("replacing the files of K3s")
        record = replacement.replace(file, record)
        cluster.release()
        cluster.start()
        cluster.wait()
    except RootlessError as error:
        context.notice(f"the restore failed, so the earlier state is put back: {error.message}")
        _undo_failed(context, replacement.load(file) or record, cluster, error)
        raise RootlessError(
            f"cannot restore `{record.archive}`: {error.message}; the earlier state was put back",
            hint=error.hint,
        ) from error
    replacement.finish(file, record)


def _undo_failed(context: Context, record: Record, cluster: Cluster, error: RootlessError) -> None:
    """Put back what a failed restore has replaced. Raises RootlessError with both reasons."""
    try:
        cluster.stop()
        _put_back(context, record, cluster)
    except RootlessError as second:
        hint = second.hint
        if context.paths.restore_record.exists():
            hint = "put back the earlier state with: k3s-rootless backup restore --abort"
        raise RootlessError(
            f"cannot restore `{record.archive}`: {error.message}; and with the earlier state:"
            f" {second.message}",
            hint=hint,
        ) from error


def _put_back(context: Context, record: Record, cluster: Cluster) -> None:
    """Put back what was replaced; K3s is stopped."""
    if record.phase is Phase.STAGING:
        _give_up(context, record, cluster)
        return
    cluster.hold()
    replacement.undo(context.paths.restore_record, record)
    cluster.release()
    if record.running:
        cluster.start()
        cluster.wait()


def _give_up(context: Context, record: Record, cluster: Cluster) -> None:
    """Remove what a restore has staged, and start K3s again if the restore has stopped it."""
    replacement.discard(context.paths.restore_record, record)
    cluster.release()
    if record.running and not cluster.is_running():
        cluster.start()
        cluster.wait()


def _require_finished(context: Context) -> None:
    """Remove what a restore left that had changed nothing; refuse any other unfinished restore."""
    file = context.paths.restore_record
    record = replacement.load(file)
    if record is None:
        return
    if record.phase is not Phase.STAGING:
        raise RootlessError(
            f"cannot restore: a restore of `{record.archive}` is not finished", hint=HINT
        )
    replacement.discard(file, record)


def _unfinished(context: Context) -> Record:
    record = replacement.load(context.paths.restore_record)
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
