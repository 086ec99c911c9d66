"""Removal of the data of K3s in a child process that is in a user namespace.

The user namespace is necessary because some files belong to subordinate ids of the user. The child
keeps the mounts of its parent (no CLONE_NEWNS) on purpose. In another mount namespace, the kernel
would let the child remove a directory that is a mount point outside, and the mount with it (rename
and unlink of mount points, Linux 3.18).
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.linux import id_mapping, tree_removal, user_namespace
from k3s_rootless.linux.id_mapping import IdMapping
from k3s_rootless.rootlesskit import state
from k3s_rootless.service.observe import data_directory


def task(directory: Path, home: Path, uid: int, *, everything: bool) -> tree_removal.Task:
    """Return the task that purges a data directory.

    Without `everything`, only the entries that K3s itself creates are removed. Raises UsageError as
    `data_directory.identify` does.
    """
    return tree_removal.Task(
        directory,
        only=None if everything else (*layout.TOP, data_directory.RESET),
        identity=data_directory.identify(directory, home, uid),
        spared=frozenset(data_directory.home_and_above(home)),
        mark=data_directory.PURGING,
    )


def reset_task(directory: Path, home: Path) -> tree_removal.Task:
    """Return the task that removes what a reset has moved away in a data directory."""
    return tree_removal.Task(
        directory / data_directory.RESET, spared=frozenset(data_directory.home_and_above(home))
    )


def remove(task: tree_removal.Task, mapping: IdMapping | str) -> tree_removal.Result:
    """Remove the data of K3s as root of a user namespace.

    If `mapping` is a text, it is the reason why there can be no user namespace; the data is then
    removed as the user. Raises RootlessError if the directory cannot be used. If this process is
    killed, the removal stops.
    """
    if isinstance(mapping, str):
        result = tree_removal.Result(outside=mapping)
        tree_removal.remove(task, result)
        return result
    child = user_namespace.Child(bytes, partial(_removed, task))
    try:
        outside = id_mapping.enter(child, mapping)
        text = b"" if outside else child.receive_all()
    finally:
        child.end()
    if outside:
        return remove(task, outside)
    if not text:
        raise RootlessError(
            f"cannot remove `{task.directory}`: the process that removes it exited before it was"
            " finished"
        )
    content = json.loads(text)
    if "error" in content:
        raise RootlessError(content["error"])
    return tree_removal.Result(
        content["removed"], [(path, why) for path, why in content["survivors"]], content["more"]
    )


def in_use(directory: Path) -> bool:
    """Return whether a rootlesskit runs with this data directory."""
    return state.is_held(directory / layout.ROOTLESS)


def remove_empty(directory: Path) -> None:
    """Remove a directory if it is empty."""
    with suppress(OSError):
        directory.rmdir()


def _removed(task: tree_removal.Task) -> bytes:
    result = tree_removal.Result()
    try:
        tree_removal.remove(task, result)
    except RootlessError as error:
        return json.dumps({"error": error.message}).encode("ascii")
    content = {"removed": result.removed, "survivors": result.survivors, "more": result.more}
    return json.dumps(content).encode("ascii")
