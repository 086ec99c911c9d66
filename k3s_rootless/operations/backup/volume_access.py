"""The way to the files of volumes, which belong to subordinate ids of the user."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup.facts import Root
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import subordinate_ids
from k3s_rootless.rootlesskit import state as rootlesskit

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Backup
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context


def of(context: Context, rootlesskit_state: Path) -> InNamespace:
    """Return the way into a user namespace with all ids of the user.

    `rootlesskit_state` is the state directory of a K3s, which owns a namespace.
    """
    running = partial(_owner, rootlesskit_state, context.uid)
    return InNamespace(subordinate_ids.mapping(context), running)


def require_room(backup: Backup, here: Surroundings, access: InNamespace) -> None:
    """Raise RootlessError if the volumes of a backup cannot be unpacked here."""
    volumes = backup.manifest.volumes
    if volumes is None:
        return
    hint = f"restore without them: k3s-rootless backup restore --no-volumes {backup.path}"
    access.require(without_k3s=not here.in_use)
    if volumes.largest_id >= access.ids:
        raise RootlessError(
            f"cannot restore `{backup.path}`: its volumes contain files of id"
            f" {volumes.largest_id} of the user namespace, and you have {access.ids} ids",
            hint=f"get more subordinate ids from an administrator, or {hint}",
        )
    above = next(one for one in here.roots[Root.VOLUMES].parents if one.exists())
    state = os.statvfs(above)
    free = state.f_bavail * state.f_frsize
    if volumes.content > free:
        raise RootlessError(
            f"cannot restore `{backup.path}`: its volumes have {volumes.content} bytes, and"
            f" {above} has {free} bytes left",
            hint=hint,
        )


def _owner(state: Path, uid: int) -> Path | None:
    """Return /proc/PID of the process that owns the namespaces of a running K3s."""
    if not rootlesskit.is_held(state):
        return None
    try:
        found = Path("/proc") / str(rootlesskit.child(state))
        if found.stat().st_uid == uid:
            return found
    except (OSError, ValueError):
        pass
    return None
