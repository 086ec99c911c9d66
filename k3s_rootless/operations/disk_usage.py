"""Show what occupies the disk: the parts of K3s's data, releases and backups."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from k3s_rootless import background
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.linux import disk_usage
from k3s_rootless.observation import value_or
from k3s_rootless.operations import data_directory
from k3s_rootless.preflight.probes import subids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.linux.disk_usage import Unread, Usage
    from k3s_rootless.operations.context import Context

SECONDS = 60.0
"""The time for all counting."""
_MORE_SECONDS = 5.0
"""The time after which a file system that does not respond is given up on."""
_PRUNE = "k3s-rootless release prune"
_IMAGES = "k3s-rootless images prune"
_VOLUME = "k3s-rootless kubectl delete pvc -n NAMESPACE NAME"
_RESET = "k3s-rootless reset"
_PURGE = "k3s-rootless uninstall --purge"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the data: its name, its paths, and the command that frees its space."""

    name: str
    paths: tuple[Path, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Row:
    """The bytes of a part; if `unknown` has a reason, they are the least."""

    part: Part
    size: int
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system with one of the paths: its free bytes for this user, and its size."""

    path: Path
    free: int
    size: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What occupies the disk, and what is free."""

    data: Path
    rows: tuple[Row, ...]
    file_systems: tuple[FileSystem, ...]

    @property
    def size(self) -> int:
        """The bytes of all parts, as far as they are known."""
        return sum(one.size for one in self.rows)

    @property
    def complete(self) -> bool:
        """True if all parts are known."""
        return not any(one.unknown for one in self.rows)


def read(context: Context, seconds: float = SECONDS) -> DiskUsage:
    """Read the bytes of all parts. Raises PreflightFailed for root, RootlessError."""
    context.require_ordinary_user()
    data = data_directory.present(context)
    found = parts(context, data)
    elsewhere = tuple(path for part in found for path in part.paths)
    other = Part("other", (data,), _PURGE)
    deadline = time.monotonic() + seconds
    queries = [
        *(background.begin(partial(disk_usage.read, part.paths, deadline)) for part in found),
        background.begin(partial(disk_usage.read, (data,), deadline, elsewhere)),
    ]
    rows = tuple(
        _row(context, part, _answer(query, deadline + _MORE_SECONDS))
        for part, query in zip((*found, other), queries, strict=True)
    )
    return DiskUsage(data, rows, tuple(_file_systems(data, context.paths.own)))


def parts(context: Context, data: Path) -> tuple[Part, ...]:
    """Return the parts of the data that have a name."""
    own, archives, logs = context.paths.own, data / layout.IMAGES, data / layout.LOGS
    backups = context.paths.backups
    containerd = data / layout.CONTAINERD
    snapshots = tuple(sorted(containerd.glob(f"{layout.SNAPSHOTTER}*")))
    return (
        Part("datastore", (data / layout.DATASTORE,), _RESET),
        Part("images", (containerd / layout.IMAGE_CONTENT,), _IMAGES),
        Part("snapshots", snapshots, _IMAGES),
        Part("image archives", (archives,), f"rm {quote(str(archives))}/FILE"),
        Part("volumes", (data / layout.STORAGE,), _VOLUME),
        Part("extractions", (data / layout.UNPACKED,), _PRUNE),
        Part("logs", (logs,), f"find {quote(str(logs))} -name '*.gz' -delete"),
        Part("releases", (own / installed.RELEASES,), _PRUNE),
        Part("backups", (backups,), f"rm {quote(str(backups))}/FILE"),
    )


def document(usage: DiskUsage) -> dict[str, Any]:
    """Return the JSON form of the answer."""
    return {
        "data": str(usage.data),
        "bytes": usage.size if usage.complete else None,
        "at_least": usage.size,
        "parts": [_part(one) for one in usage.rows],
        "file_systems": [
            {"path": str(one.path), "free": one.free, "size": one.size}
            for one in usage.file_systems
        ],
        "errors": [],
    }


def _part(row: Row) -> dict[str, Any]:
    return {
        "name": row.part.name,
        "bytes": None if row.unknown else row.size,
        "at_least": row.size,
        "unknown": row.unknown or None,
        "paths": [str(path) for path in row.part.paths],
        "command": row.part.command,
    }


def _answer(query: background.BackgroundQuery[Usage], deadline: float) -> Usage | str:
    """Return what was counted, or why nothing was."""
    try:
        return background.answer(query, deadline)
    except RootlessError as error:
        return error.message


def _row(context: Context, part: Part, found: Usage | str) -> Row:
    if isinstance(found, str):
        return Row(part, 0, found)
    if found.first is not None:
        return Row(part, found.size, _unread(context, found, found.first))
    if not found.complete:
        return Row(part, found.size, "counting took too long")
    return Row(part, found.size)


def _unread(context: Context, found: Usage, first: Unread) -> str:
    """Return why not all of a part is known."""
    owner = f"uid {first.uid}"
    ranges = subids.of_user("subuid", context.paths.root, context.user, context.uid)
    if any(one.start <= first.uid < one.start + one.count for one in value_or(ranges, ())):
        owner = f"your subordinate id {first.uid}"
    which = f"{first.path} cannot be read: it belongs to {owner} ({first.reason})"
    if found.unread == 1:
        return which
    return f"{which}; {found.unread - 1} more directories cannot be read"


def _file_systems(*paths: Path) -> Iterator[FileSystem]:
    """Yield the file systems of paths; of a path that does not exist, that of the path above."""
    devices = set()
    for path in paths:
        try:
            existing = next(one for one in (path, *path.parents) if one.exists())
            device, found = existing.stat().st_dev, os.statvfs(existing)
        except OSError:
            continue
        if device in devices:
            continue
        devices.add(device)
        size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        yield FileSystem(existing, free, size)
