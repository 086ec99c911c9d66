"""Records of files in volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a member of the copy is; the value is its type in a tar file."""

    FILE = b"0"
    HARD_LINK = b"1"
    LINK = b"2"
    DIRECTORY = b"5"
    PIPE = b"6"


Segments = tuple[tuple[int, int], ...]
"""The parts of a sparse file that contain data: offset and length."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the volumes. Its path is relative; the directory of all volumes is `.`.

    Owners are ids of the user namespace. `modified` is in nanoseconds. `size` is the size of the
    file with its holes; `segments` is None for a file without holes. `target` is what a symbolic
    link contains, or the path of the member that a hard link leads to.
    """

    path: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    modified: int
    size: int = 0
    target: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    segments: Segments | None = None


@dataclass(slots=True)
class Packed:
    """The result of a copy.

    `content` is the size of the files in bytes, without holes. `changed` is the number of files
    that changed while they were copied. `left_out` are paths with reasons, and `more` is the number
    of further ones.
    """

    files: int = 0
    content: int = 0
    largest_id: int = 0
    changed: int = 0
    names: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    more: int = 0
