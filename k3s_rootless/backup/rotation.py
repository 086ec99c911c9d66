"""Decide which scheduled backups are deleted."""

from __future__ import annotations

from collections.abc import Iterable

from k3s_rootless.backup import names


def superseded(found: Iterable[str], new: str, keep: int) -> tuple[str, ...]:
    """Return the names of scheduled backups to delete, so that `keep` of them remain.

    `new` is the backup that was just created, which always remains: after a correction of the
    clock, the name of an older one can have a later time. Other backups are never deleted.
    """
    others = sorted(name for name in found if names.is_scheduled(name) and name != new)
    return tuple(others[: max(0, len(others) - (keep - 1))])
