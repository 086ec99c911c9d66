"""Records of backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

FORMAT = 1
"""The version of the archive's format. A reader refuses an unknown version."""


class Datastore(Enum):
    """Where K3s keeps the objects of the cluster."""

    SQLITE = "sqlite"
    ETCD = "embedded etcd"
    EXTERNAL = "external"
    NONE = "none"


class Root(Enum):
    """The first part of a name in the archive: the directory that the rest is relative to."""

    DATA = "data"
    HOME = "home"
    UNIT = "unit"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Source:
    """A file that belongs to a backup, and its name in the archive."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that does not belong to a backup, with the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collected:
    """The files of a backup without the datastore, and what is left out."""

    sources: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive; `modified` is its mtime in whole seconds.

    K3s compares the times of its certificates with those in the datastore (its pkg/cluster).
    """

    name: str
    size: int
    sha256: str
    mode: int
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """The cluster that a backup belongs to, or that it is restored into.

    `roots` are the directories of this user. `k3s` is the version of K3s, None if it is unknown.
    """

    user: str
    node: str
    architecture: str
    k3s: str | None
    roots: Mapping[Root, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of an archive.

    `live` is True if K3s was running. `revision` is the last revision in the datastore. `tool` is
    the version of k3s-rootless.
    """

    created: datetime
    tool: str
    origin: Origin
    datastore: Datastore
    live: bool
    revision: int | None
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def content(self) -> int:
        """The size of all files in bytes."""
        return sum(one.size for one in self.entries)


@dataclass(frozen=True, slots=True)
class Backup:
    """An archive that was read, and its size in bytes."""

    path: Path
    size: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Judgement:
    """Reasons why a backup cannot be restored, and warnings about its restore."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """A path that a restore replaces as a whole.

    `entry` is the name in the archive of the path itself, and `names` are the entries at or below
    it. Without entries, the path is removed.
    """

    path: Path
    entry: str = ""
    names: tuple[str, ...] = ()


class Phase(Enum):
    """How far a restore is.

    Only in the phases `replacing` and `undoing`, some files are those of the backup and some are
    not.
    """

    STAGING = "staging"
    REPLACING = "replacing"
    PLACED = "placed"
    UNDOING = "undoing"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Replaced:
    """A path that a restore replaces.

    `new` is True if the backup contains something for it, and `old` if something was there before.
    """

    path: Path
    new: bool
    old: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A restore that is not finished.

    `archive` is the file that is restored. `running` is True if K3s was running before.
    """

    phase: Phase
    archive: Path
    paths: tuple[Replaced, ...]
    running: bool = False


class Work(Enum):
    """A command that stops K3s for some time, as users type it."""

    BACKUP = "backup create --stop"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class StopRecord:
    """A command that has stopped K3s, or is about to, and is not finished.

    `running` is True if K3s was running before. `data` is the data directory that a reset empties,
    and `moved` is True once its content is moved away.
    """

    work: Work
    since: datetime
    running: bool
    data: Path | None = None
    moved: bool = False
