"""Find the backup that belongs to a release: the last one that was created with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.binaries import installed
from k3s_rootless.operations.backup import kept
from k3s_rootless.operations.launch.reported import same

if TYPE_CHECKING:
    from k3s_rootless.operations.backup.kept import Kept
    from k3s_rootless.operations.context import Context


def find(context: Context, release: str) -> Kept | None:
    """Return the newest backup in the directory of backups from this release, or None."""
    found = [
        one
        for one in kept.kept(context)
        if one.manifest is not None and same(one.manifest.origin.k3s or "", release)
    ]
    if not found:
        return None
    return found[-1]


def release_before(context: Context, release: str) -> str | None:
    """Return the release before the last upgrade to this one, or else the one used before it."""
    for entry in reversed(installed.history(context.paths.own)):
        if entry.done and same(entry.after, release):
            return entry.before
    return installed.linked(context.paths.own, installed.PREVIOUS)
