"""Removes K3s's data, whose files belong to subordinate ids of the user: from inside a user
namespace, in a child of our own.

It keeps the mounts of its parent (no CLONE_NEWNS) on purpose: in a mount namespace of its own the
kernel would let it remove what is mounted upon outside (rename and unlink of mount points, Linux
3.18), and the mount with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from k3s_rootless import atomic, command
from k3s_rootless.errors import CommandFailed, RootlessError
from k3s_rootless.service.act import tree_removal
from k3s_rootless.service.observe import data_directory

_CLONE_NEWUSER = 0x10000000
_MAP_SECONDS = 10.0
_SET_DEATH_SIGNAL = 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """How the child gets its ids: the two setuid programs, and the ranges of subordinate ids, first
    id and count.
    """

    newuidmap: str
    newgidmap: str
    uids: Sequence[tuple[int, int]]
    gids: Sequence[tuple[int, int]]


def task(directory: Path, home: Path, uid: int, *, everything: bool) -> tree_removal.Task:
    """Return the task of purging a data directory; without `everything`, only what K3s itself makes
    there goes.

    Raises UsageError as `data_directory.identify` does.
    """
    identity = data_directory.identify(directory, home, uid)
    only, spared = (
        None if everything else data_directory.OWN,
        frozenset(data_directory.home_and_above(home)),
    )
    return tree_removal.Task(directory, only, identity, spared, data_directory.PURGING)


def remove(task: tree_removal.Task, mapping: Mapping | str) -> tree_removal.Result:
    """Remove K3s's data as root of a user namespace, or, if `mapping` says why there is none, as
    the user.

    Raises RootlessError if the directory cannot be used at all. If this process is killed, the
    removal ends.
    """
    if isinstance(mapping, str):
        result = tree_removal.Result(outside=mapping)
        tree_removal.remove(task, result)
        return result
    ready, mapped, answer = os.pipe(), os.pipe(), os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        # Else it would wait for its own end of the pipe when its parent is gone.
        for descriptor in (ready[0], mapped[1], answer[0]):
            os.close(descriptor)
        _inside(task, parent, ready[1], mapped[0], answer[1])
    for descriptor in (ready[1], mapped[0], answer[1]):
        os.close(descriptor)
    outside = ""
    with (
        open(ready[0], "rb") as said,  # noqa: PTH123 (descriptors)
        open(mapped[1], "wb") as go,  # noqa: PTH123
        open(answer[0], "rb") as told,  # noqa: PTH123
    ):
        failed = int.from_bytes(said.read(4) or b"\xff", "little")
        outside = (
            f"there can be no user namespace: {os.strerror(failed)}"
            if failed
            else _map(child, mapping)
        )
        with suppress(BrokenPipeError):
            go.write(b"n" if outside else b"y")
            go.flush()
        text = told.read()
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    if outside:
        return remove(task, outside)
    if not text:
        raise RootlessError(
            f"cannot remove `{task.directory}`: the process that removes it ended before its work"
            " was done"
        )
    content = json.loads(text)
    if "error" in content:
        raise RootlessError(content["error"])
    return tree_removal.Result(
        content["removed"], [(path, why) for path, why in content["survivors"]], content["more"]
    )


def in_use(directory: Path) -> bool:
    """Return whether a rootlesskit runs with this data directory: it holds a lock there while it
    runs (its pkg/parent).
    """
    return atomic.is_locked(directory / "rootless" / "lock")


def remove_empty(directory: Path) -> None:
    """Remove a directory if nothing is in it."""
    with suppress(OSError):
        directory.rmdir()


def _map(child: int, mapping: Mapping) -> str:
    for program, own, ranges in (
        (mapping.newuidmap, os.getuid(), mapping.uids),
        (mapping.newgidmap, os.getgid(), mapping.gids),
    ):
        words, inside = [program, str(child), "0", str(own), "1"], 1
        for first, count in ranges:
            words += [str(inside), str(first), str(count)]
            inside += count
        try:
            done = command.run(words, timeout=_MAP_SECONDS)
        except CommandFailed as error:
            return error.message
        if done.status != 0:
            return f"{program}: {done.stderr.strip() or done.status}"
    return ""


def _inside(task: tree_removal.Task, parent: int, ready: int, mapped: int, answer: int) -> NoReturn:
    """Be the child: make the namespace, wait for its ids, remove, tell, and end; never return."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.unshare(_CLONE_NEWUSER) != 0
        os.write(ready, (ctypes.get_errno() if failed else 0).to_bytes(4, "little"))
        if not failed and os.read(mapped, 1) == b"y":
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            _end_with(parent, libc)
            result = tree_removal.Result()
            try:
                tree_removal.remove(task, result)
                told = {
                    "removed": result.removed,
                    "survivors": result.survivors,
                    "more": result.more,
                }
            except RootlessError as error:
                told = {"error": error.message}
            with open(answer, "wb", closefd=False) as pipe:
                pipe.write(json.dumps(told).encode("ascii"))
    finally:
        os._exit(0)


def _end_with(parent: int, libc: ctypes.CDLL) -> None:
    # Set behind setresuid(2), since a change of credentials clears it (prctl(2), PR_SET_PDEATHSIG);
    # and looked at afterwards, since a parent that is gone by then sends no signal any more.
    if libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) != 0 or os.getppid() != parent:
        os._exit(1)
