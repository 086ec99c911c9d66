"""Readers of the releases that are kept on this host, and of the last answers of channels.

Everything is below `$XDG_DATA_HOME/k3s-rootless`: `releases/VERSION/k3s` with its record, `bin/k3s`
(the link to the release in use), `bin/.previous` (the release before), `channels.json` and
`history.json` (upgrades and rollbacks).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

from k3s_rootless.binaries import tags
from k3s_rootless.binaries.facts import (
    Answers,
    Channel,
    Integrity,
    Leftover,
    Passage,
    Record,
    Release,
)
from k3s_rootless.errors import PeerError
from k3s_rootless.json_fields import each, field, optional, parsing, typed
from k3s_rootless.paths import CHANNELS

RELEASES = "releases"
INCOMING = ".incoming"
LOCK = ".lock"
BINARY = "k3s"
RECORD = "record.json"
ANSWERS = CHANNELS
HISTORY = "history.json"
LINK = "bin/k3s"
PREVIOUS = "bin/.previous"
_LARGEST = 1024 * 1024


def path_of(own: Path, version: str) -> Path:
    """Return where the binary of a release is kept."""
    return own / RELEASES / version / BINARY


def releases(own: Path) -> tuple[Release, ...]:
    """Return the releases on this host, the newest one first. Raises OSError."""
    used, before = linked(own, LINK), linked(own, PREVIOUS)
    found = []
    for name in _names(own / RELEASES):
        binary = path_of(own, name)
        try:
            status = binary.lstat()
        except OSError:
            continue
        if not tags.is_tag(name) or not stat.S_ISREG(status.st_mode):
            continue
        record = read_record(own, name)
        found.append(
            Release(
                version=name,
                path=binary,
                size=status.st_size,
                integrity=_integrity(status, record),
                record=record,
                in_use=name == used,
                previous=name == before,
            )
        )
    return tuple(sorted(found, key=lambda one: tags.order(one.version), reverse=True))


def linked(own: Path, link: str) -> str | None:
    """Return the release that a link of ours leads to; None if it leads elsewhere or to nothing."""
    try:
        target = Path(os.path.normpath(own / "bin" / (own / link).readlink()))
    except OSError:
        return None
    version = target.parent.name
    return version if target == path_of(own, version) and tags.is_tag(version) else None


def read_record(own: Path, version: str) -> Record | None:
    """Return the record of a release; None if there is none that can be read."""
    try:
        with parsing("the record of a release"):
            found = _loaded(path_of(own, version).with_name(RECORD))
            record = Record(
                version=field(found, "version", str),
                asset=field(found, "asset", str),
                sha256=field(found, "sha256", str),
                size=field(found, "size", int),
                changed=field(found, "changed", int),
                source=field(found, "source", str),
                checksums=field(found, "checksums", str),
                date=datetime.fromisoformat(field(found, "date", str)),
            )
    except (OSError, PeerError):
        return None
    return record if record.version == version else None


def answers(own: Path) -> Answers | None:
    """Return the last answers of a channel server; None if there are none that can be read."""
    try:
        with parsing("the last answers of the channels"):
            found = _loaded(own / ANSWERS)
            return Answers(
                server=field(found, "server", str),
                date=datetime.fromisoformat(field(found, "date", str)),
                channels=each(found, "channels", _channel),
            )
    except (OSError, PeerError):
        return None


def history(own: Path) -> tuple[Passage, ...]:
    """Return the upgrades and rollbacks, the oldest first; empty if they cannot be read."""
    try:
        with parsing("the history"):
            return each(_loaded(own / HISTORY), "passages", _passage)
    except (OSError, PeerError):
        return ()


def _passage(value: Any) -> Passage:  # noqa: ANN401 (untyped JSON)
    one = typed(value, dict)
    downtime = one.get("downtime")
    if downtime is not None:
        downtime = float(downtime)
    return Passage(
        kind=field(one, "kind", str),
        before=field(one, "before", str),
        after=field(one, "after", str),
        date=datetime.fromisoformat(field(one, "date", str)),
        done=field(one, "done", bool),
        downtime=downtime,
        backup=optional(one, "backup", str),
    )


def leftovers(own: Path) -> tuple[Leftover, ...]:
    """Return what interrupted downloads left. Only the holder of the lock may remove it."""
    found = [own / RELEASES / INCOMING / name for name in _names(own / RELEASES / INCOMING)]
    for name in _names(own / RELEASES):
        directory = own / RELEASES / name
        if tags.is_tag(name) and not path_of(own, name).exists():
            found.append(directory)
    return tuple(Leftover(path, _size(path)) for path in sorted(found))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _integrity(status: os.stat_result, record: Record | None) -> Integrity:
    if record is None:
        return Integrity.UNVERIFIED
    if (status.st_size, status.st_mtime_ns) != (record.size, record.changed):
        return Integrity.CHANGED
    return Integrity.VERIFIED


def _loaded(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return typed(json.loads(file.read(_LARGEST).decode("utf-8")), dict)


def _channel(value: Any) -> Channel:  # noqa: ANN401 (untyped JSON)
    one = typed(value, dict)
    date = optional(one, "date", str)
    return Channel(
        name=field(one, "name", str),
        latest=optional(one, "latest", str),
        date=None if date is None else datetime.fromisoformat(date),
    )


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 (names only)
    except FileNotFoundError:
        return []


def _size(path: Path) -> int:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(one.lstat().st_size for one in files if not one.is_dir())
