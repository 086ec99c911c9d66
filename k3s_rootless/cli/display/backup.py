"""Show backups, and the results of creating and restoring one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations.backup import create, restore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.backup.facts import Backup, Manifest
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.backup.create import Created
    from k3s_rootless.operations.backup.kept import Kept
    from k3s_rootless.operations.backup.restore import Restored

_TIME = "%Y-%m-%d %H:%M UTC"


def show_created(report: Report, created: Created, deleted: Sequence[Path] = ()) -> None:
    """Show the written file; `deleted` are older scheduled backups."""
    if created.downtime is not None:
        report.answer(f"K3s was stopped for {created.downtime:.1f} s")
    size = byte_size.text(created.size)
    report.answer(f"wrote {created.path} ({size}, {_how(created.manifest)})")
    report.notice("The backup contains secrets: keep it where only you can read it")
    report.notice("It does not contain volumes and images")
    for path in deleted:
        report.answer(f"deleted {path}")
    report.document(create.document(created, deleted))


def show_list(report: Report, directory: Path, found: Sequence[Kept]) -> None:
    """Show the backups in the directory of backups."""
    if not found:
        report.answer(f"{directory} contains no backups; create one: k3s-rootless backup create")
        return
    rows = [
        (
            one.path.name,
            one.manifest.created.strftime(_TIME) if one.manifest else "",
            byte_size.text(one.size),
            (one.manifest.origin.k3s or "unknown") if one.manifest else "",
            _how(one.manifest) if one.manifest else one.problem,
        )
        for one in found
    ]
    report.table(("FILE", "CREATED", "SIZE", "K3S", "DATASTORE"), rows, prose="DATASTORE")


def show_verified(report: Report, found: Backup) -> None:
    """Show a backup that is undamaged."""
    manifest = found.manifest
    report.answer(f"{found.path} is complete and undamaged")
    report.answer(
        f"created {manifest.created.strftime(_TIME)} by {manifest.origin.user} on"
        f" {manifest.origin.node}, K3s {manifest.origin.k3s or 'unknown'}"
    )
    size = byte_size.text(manifest.content)
    report.answer(f"{len(manifest.entries)} files ({size}); datastore: {_how(manifest)}")


def show_restored(report: Report, done: Restored) -> None:
    """Show the result of a restore."""
    if done.restored:
        report.answer(f"restored {done.archive}; K3s is ready")
    else:
        report.answer("the earlier state is put back")
    report.document(restore.document(done))


def _how(manifest: Manifest) -> str:
    how = "K3s was stopped"
    if manifest.live:
        how = "K3s was running"
    return f"{manifest.datastore.value}, {how}"
