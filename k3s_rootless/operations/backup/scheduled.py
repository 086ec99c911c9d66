"""Create a scheduled backup, record its outcome, and delete older scheduled backups."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import rotation, scheduled_run
from k3s_rootless.backup.records import Outcome, ScheduledRun
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import create

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.create import Created, Request
    from k3s_rootless.operations.context import Context


def run(context: Context, request: Request, keep: int) -> tuple[Created, tuple[Path, ...]]:
    """Create a backup, and delete older scheduled ones, so that `keep` of them remain.

    Returns the backup and the deleted files. Raises RootlessError; the outcome is recorded.
    """
    begun = ScheduledRun(Outcome.RUNNING, datetime.now(UTC))
    _record(context, begun)
    try:
        created = create.create(context, replace(request, scheduled=True))
        deleted = _delete(context, created.path, keep)
    except RootlessError as error:
        _record(context, replace(begun, outcome=Outcome.FAILED, problem=error.message))
        raise
    _record(context, replace(begun, outcome=Outcome.SUCCEEDED))
    return created, deleted


def _record(context: Context, found: ScheduledRun) -> None:
    # On a full disk, the record is missing; `status` then reports that there is no new backup.
    with suppress(OSError):
        scheduled_run.save(context.paths.scheduled_record, found)


def _delete(context: Context, new: Path, keep: int) -> tuple[Path, ...]:
    directory = new.parent
    try:
        found = [path.name for path in directory.iterdir() if _is_ours(path, context.uid)]
        deleted = tuple(directory / name for name in rotation.superseded(found, new.name, keep))
        for path in deleted:
            context.notice(f"deleting {path}")
            path.unlink()
        if deleted:
            atomic.sync(directory)
    except OSError as error:
        raise RootlessError(
            f"cannot delete old scheduled backups in `{directory}`: {atomic.reason(error)}",
            hint=f"look at the directory: ls -l {directory}",
        ) from error
    return deleted


def _is_ours(path: Path, uid: int) -> bool:
    found = os.lstat(path)
    return stat.S_ISREG(found.st_mode) and found.st_uid == uid
