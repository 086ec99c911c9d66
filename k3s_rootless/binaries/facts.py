"""Frozen records of K3s's releases: where they come from, and what is kept on this host."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

CHANNELS = "https://update.k3s.io/v1-release/channels"
DOWNLOADS = "https://github.com/k3s-io/k3s/releases/download"
API = "https://api.github.com/repos/k3s-io/k3s/releases/tags"
CHANNELS_VARIABLE = "INSTALL_K3S_CHANNEL_URL"
DOWNLOADS_VARIABLE = "INSTALL_K3S_ARTIFACT_URL"
"""Both have the meaning that they have for K3s's install script."""
LARGEST_BINARY = 512 * 1024 * 1024
"""Bytes. K3s v1.36 has 82 MB (its scripts/binary_size_check)."""
LARGEST_IMAGES = 4 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Architecture:
    """The names of the assets for one architecture; they differ from each other on 32-bit ARM."""

    name: str
    binary: str
    checksums: str
    images: str


@dataclass(frozen=True, slots=True)
class Source:
    """The servers that are queried: URLs without a slash at the end.

    `mirror` is true if `downloads` is not the place where K3s publishes its releases. `origin` is
    the option, variable or setting that `downloads` comes from, empty for none. `api` shows digests
    of `downloads`, empty for a mirror.
    """

    channels: str = CHANNELS
    downloads: str = DOWNLOADS
    mirror: bool = False
    origin: str = ""
    api: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, and the version that it offers; None if it offers none.

    `date` is when this channel was queried; None if all channels were queried together.
    """

    name: str
    latest: str | None
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a channel server answered last, and when it was queried for all channels."""

    server: str
    date: datetime
    channels: tuple[Channel, ...] = ()

    def date_of(self, channel: Channel) -> datetime:
        """Return when a channel was queried."""
        return channel.date or self.date


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release: its name, its URL, its published checksum and its size limit."""

    name: str
    url: str
    sha256: str
    largest: int = LARGEST_BINARY


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about the file of a release that was verified.

    `source` is the URL or the path that the file came from, `checksums` that of the checksum file.
    `size` (bytes) and `changed` (mtime in nanoseconds) are those of the verified file.
    """

    version: str
    asset: str
    sha256: str
    size: int
    changed: int
    source: str
    checksums: str
    date: datetime


class Integrity(Enum):
    """Whether a file is the one that was verified, without reading it again."""

    VERIFIED = "verified"
    CHANGED = "changed"
    UNVERIFIED = "not verified"


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is kept on this host."""

    version: str
    path: Path
    size: int
    integrity: Integrity
    record: Record | None = None
    in_use: bool = False
    previous: bool = False


@dataclass(frozen=True, slots=True)
class Extraction:
    """A directory into which K3s unpacked itself.

    `unfinished` is true for a directory that K3s did not complete. `linked` is true if K3s's links
    `current` or `previous` lead to it, `running` if a process runs a program in it.
    """

    path: Path
    size: int
    unfinished: bool = False
    linked: bool = False
    running: bool = False


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or directory of an interrupted download."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The time limits of a download, in seconds, and the pauses before the next tries.

    A transfer of fewer than `slowest` bytes in `stall` seconds has failed. `opinion` is the time
    that the forge has for its digest after the download.
    """

    connect: float = 15.0
    read: float = 30.0
    document: float = 60.0
    stall: float = 30.0
    slowest: int = 32 * 1024
    opinion: float = 2.0
    pauses: tuple[float, ...] = field(default=(1.0, 4.0))


@dataclass(frozen=True, slots=True)
class Passage:
    """An upgrade or a rollback of the past; `kind` says which.

    `date` is when K3s was stopped, `downtime` is in seconds. `backup` is the backup of the earlier
    release. `done` is false if it was undone.
    """

    kind: str
    before: str
    after: str
    date: datetime
    done: bool
    downtime: float | None = None
    backup: str | None = None
