"""Read how old the last backup is, and whether scheduled backups fail.

`status` reads this each time, so it lists one directory and reads two small files.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from k3s_rootless import atomic
from k3s_rootless.backup import names
from k3s_rootless.backup.records import Age
from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import BACKUP_TIMER
from k3s_rootless.printable import json_time
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context


def read(context: Context, units: Path) -> Age:
    """Return the age of backups; `units` is the directory of the user's units.

    Raises RootlessError.
    """
    last = newest(context.paths.backups)
    timer = files.read(units / BACKUP_TIMER)
    if timer.text is None:
        return Age(last, None)
    # Imported here: each `status` comes here, and many users have no schedule.
    from k3s_rootless.backup import age, scheduled_run
    from k3s_rootless.service.unit import backup_units

    run = scheduled_run.load(context.paths.scheduled_record)
    every = backup_units.every_of(timer.text)
    return age.judge(last, every, timer.written, run, datetime.now(UTC))


def newest(directory: Path) -> datetime | None:
    """Return when the newest backup was written; None if there is none. Raises RootlessError."""
    try:
        with os.scandir(directory) as entries:
            times = [
                entry.stat(follow_symlinks=False).st_mtime
                for entry in entries
                if entry.name.endswith(names.ARCHIVE_SUFFIX) and not entry.name.startswith(".")
            ]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(f"cannot list `{directory}`: {atomic.reason(error)}") from error
    if not times:
        return None
    return datetime.fromtimestamp(max(times), UTC)


def document(found: Age) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "last": json_time(found.last),
        "schedule": found.every,
        "problem": found.problem or None,
    }
