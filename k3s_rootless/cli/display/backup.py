"""Show backups, and the results of creating and restoring one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations.backup import create, restore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    for line in _parts(created.manifest):
        report.notice(line)
    for path in deleted:
        report.answer(f"deleted {path}")
    report.document(create.document(created, deleted))


def _parts(manifest: Manifest) -> Iterator[str]:
    volumes = manifest.volumes
    if volumes is None:
        yield "It does not contain volumes"
        return
    yield f"Volumes in it: {len(volumes.names)} ({byte_size.text(volumes.content)})"
    if not volumes.consistent:
        yield (
            "The volumes may be inconsistent, because K3s ran meanwhile: files that belong together"
            " may not match each other"
        )
    if volumes.changed == 1:
        yield "1 file changed while it was copied"
    elif volumes.changed:
        yield f"{volumes.changed} files changed while they were copied"


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
            _summary(one),
        )
        for one in found
    ]
    report.table(("FILE", "CREATED", "SIZE", "K3S", "CONTENT"), rows, prose="CONTENT")


def show_verified(report: Report, found: Backup) -> None:
    """Show a backup that is undamaged."""
    manifest = found.manifest
    report.answer(f"{found.path} is complete and undamaged")
    report.answer(
        f"created {manifest.created.strftime(_TIME)} by {manifest.origin.user} on"
        f" {manifest.origin.node}, K3s {manifest.origin.k3s or 'unknown'}"
    )
    size = byte_size.text(manifest.content)
    files = "1 file"
    if len(manifest.entries) != 1:
        files = f"{len(manifest.entries)} files"
    report.answer(f"{files} ({size}); datastore: {_how(manifest)}{_contents(manifest)}")


def show_restored(report: Report, done: Restored) -> None:
    """Show the result of a restore."""
    if done.dry_run:
        report.answer(f"{done.archive} can be restored here; nothing was changed")
    elif done.restored:
        report.answer(f"restored {done.archive}; K3s is ready")
    else:
        report.answer("the earlier state is put back")
    report.document(restore.document(done))


def _summary(one: Kept) -> str:
    if one.manifest is None:
        return one.problem
    return f"{_how(one.manifest)}{_contents(one.manifest)}"


def _contents(manifest: Manifest) -> str:
    if manifest.volumes is None:
        return ""
    return f", volumes: {len(manifest.volumes.names)} ({byte_size.text(manifest.volumes.content)})"


def _how(manifest: Manifest) -> str:
    how = "K3s was stopped"
    if manifest.live:
        how = "K3s was running"
    return f"{manifest.datastore.value}, {how}"
