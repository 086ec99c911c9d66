"""Copy the files of an etcd that does not run: its database, its log, and its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.backup import staging
from k3s_rootless.backup.facts import Entry, Root, Source
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout

_LOG = Path(layout.ETCD_LOG).name


def copy_stopped(data: Path, folder: Path) -> tuple[Entry, ...]:
    """Copy the files to `folder`, under their names in an archive, and return their entries.

    `data` is the data directory. Raises RootlessError, also if a file changed meanwhile.
    """
    before = dict(_states(data))
    found = [staging.copy(Source(path, _name(path, data)), folder) for path in before]
    if before != dict(_states(data)):
        raise RootlessError(
            f"cannot copy the datastore in `{data / layout.ETCD}`: a process changed it meanwhile",
            hint="if K3s has just started, repeat the command: k3s-rootless backup create --live",
        )
    return tuple(one for one in found if one is not None)


def size(data: Path) -> int:
    """Return the size of the files in bytes. Raises RootlessError."""
    return sum(size for _, size, _ in dict(_states(data)).values())


def is_allocated(path: Path) -> bool:
    """Return whether etcd has only allocated this file for its log.

    It creates such a file again (etcd server/storage/wal/file_pipeline.go).
    """
    return path.suffix == ".tmp" and path.parent.name == _LOG


def _states(data: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    try:
        for path in sorted(_below(data / layout.ETCD)):
            found = path.stat()
            yield path, (found.st_ino, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise RootlessError(
            f"cannot read `{error.filename}`: {atomic.reason(error)}",
            hint="the files of K3s must belong to you: look at them with ls -l",
        ) from error


def _below(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and not is_allocated(Path(entry.path)):
                yield Path(entry.path)


def _name(path: Path, data: Path) -> str:
    return f"{Root.DATA.value}/{path.relative_to(data)}"
