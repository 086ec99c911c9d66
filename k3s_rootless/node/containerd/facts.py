"""Records of containerd's configuration, as K3s makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


class Role(Enum):
    """What a file is for; the value is the word in answers."""

    RENDERED = "rendered configuration"
    TEMPLATE = "template"
    DROP_IN = "drop-in"


@dataclass(frozen=True, slots=True)
class File:
    """A file in K3s's directory for containerd.

    `text` is None if the file cannot be read, and `problem` says why. `modified` is in seconds.
    """

    path: Path
    text: str | None = field(repr=False)
    modified: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """All files in K3s's directory for containerd, templates and drop-ins by their names."""

    directory: Path
    rendered: File | None = None
    templates: Mapping[str, File] = field(default_factory=dict)
    drop_ins: Mapping[str, tuple[File, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A file and whether K3s and containerd read it; `reason` says why or why not."""

    file: File
    role: Role
    read: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the configuration in a release: its template, drop-ins and version."""

    template: str
    drop_ins: str
    version: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is in effect, and the file that sets it.

    `key` are the names of the tables and the setting. `overridden` are the files with other values.
    """

    key: tuple[str, ...]
    value: Any = field(repr=False)
    path: Path
    origin: str
    overridden: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What containerd reports about a file; `row` is None if it names no place."""

    text: str
    path: Path | None = None
    row: int | None = None
    fatal: bool = False
