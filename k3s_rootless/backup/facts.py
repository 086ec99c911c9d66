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
    VOLUMES = "volumes"


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
class Parts:
    """The optional parts of a backup."""

    volumes: bool = False
    images: bool = False


NO_PARTS = Parts()


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
class Volumes:
    """The copy of the volumes in an archive.

    `content` is the size of their files in bytes, without holes. `largest_id` is the largest owner,
    an id of the user namespace. `names` are the directories of the volumes. `changed` is the number
    of files that changed while they were copied. `consistent` is False if K3s ran meanwhile.
    """

    files: int
    content: int
    largest_id: int
    names: tuple[str, ...]
    changed: int
    consistent: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of an archive.

    `live` is True if K3s was running. `revision` is the last revision in the datastore. `tool` is
    the version of k3s-rootless. `volumes` is None if the archive contains no volumes.
    """

    created: datetime
    tool: str
    origin: Origin
    datastore: Datastore
    live: bool
    revision: int | None
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    volumes: Volumes | None = None

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
    it. Without entries, the path is removed. `volumes` is True for the directory of volumes, which
    one entry contains. `snapshot` is True for the directory of etcd if the entry is a snapshot.
    """

    path: Path
    entry: str = ""
    names: tuple[str, ...] = ()
    volumes: bool = False
    snapshot: bool = False


class Phase(Enum):
    """How far a transaction is.

    Only in the phases `replacing` and `undoing`, some files are the new ones and some are not. In
    the phase `undone`, all files are the earlier ones, and K3s is started again.
    """

    STAGING = "staging"
    REPLACING = "replacing"
    PLACED = "placed"
    UNDOING = "undoing"
    UNDONE = "undone"
    READY = "ready"


class Kind(Enum):
    """What a transaction does.

    A backup only stops K3s, and starts it again. A rotation also removes certificates, which any
    start of K3s issues again.
    """

    RESTORE = "restore"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    RESET = "reset"
    BACKUP = "backup"
    ROTATION = "rotation"


@dataclass(frozen=True, slots=True)
class Replaced:
    """A path that a transaction replaces, or that a new release of K3s can change.

    `new` is True if there is new content for it, and `old` if something was there before. `copied`
    is True if the path stays, and a copy of it is made. `volumes` is True for the directory of
    volumes: its files belong to subordinate ids. `snapshot` is True if the new content is a
    snapshot of etcd, from which K3s writes the path.
    """

    path: Path
    new: bool
    old: bool = False
    copied: bool = False
    volumes: bool = False
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """The releases of K3s before and after a transaction.

    `linked` and `previous` are the releases that the links of k3s-rootless led to before it; None
    if there was no link.
    """

    before: str
    after: str
    linked: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What K3s's settings must be after a restore, empty if they are not checked."""

    data: str = ""
    node: str = ""


UNKNOWN = Expected()


@dataclass(frozen=True, slots=True)
class Record:
    """A transaction that is not finished.

    `archive` is the backup that is restored, or that was created before an upgrade; None if there
    is none. `running` is True if K3s was running before. `switch` is None if the release does not
    change. `stopped` is when K3s was stopped. `failed` is the directory that keeps the datastore of
    an upgrade that is undone. `data` is the data directory that a reset empties: in the phase
    `staging`, some of its files can be moved away, and in the phase `placed` all of them are.
    """

    phase: Phase
    archive: Path | None
    paths: tuple[Replaced, ...]
    running: bool = False
    kind: Kind = Kind.RESTORE
    switch: Switch | None = None
    stopped: datetime | None = None
    failed: Path | None = None
    expected: Expected = UNKNOWN
    data: Path | None = None

    @property
    def name(self) -> str:
        """What the transaction is, for messages."""
        if self.kind is Kind.BACKUP:
            return "backup with --stop"
        if self.kind is Kind.ROTATION:
            return "rotation of the certificates"
        if self.kind is Kind.RESET:
            return f"reset of `{self.data}`"
        if self.switch is None:
            return f"{self.kind.value} of `{self.archive}`"
        return f"{self.kind.value} from K3s {self.switch.before} to {self.switch.after}"

    @property
    def can_undo(self) -> bool:
        """False if the new release may have changed the datastore, and there is no copy of it."""
        return self.archive is not None or self.phase in {Phase.STAGING, Phase.REPLACING}

    @property
    def only_stopped(self) -> bool:
        """True if any start of K3s ends this: K3s was only stopped, or lacks certificates."""
        return self.kind in {Kind.BACKUP, Kind.ROTATION}

    @property
    def is_continued_by_up(self) -> bool:
        """True if `up` continues or undoes the transaction before it starts K3s."""
        if self.kind is Kind.RESTORE:
            return self.phase in {Phase.UNDOING, Phase.UNDONE}
        return self.kind in {Kind.UPGRADE, Kind.ROLLBACK}
