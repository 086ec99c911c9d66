"""The strict reader of a copy of volumes: it accepts only what `headers.header` writes.

Devices, other attributes, paths that leave the volumes, and members in another order are refused.
The memory is bounded, whatever the copy contains.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Protocol

from k3s_rootless.backup.volumes.headers import ATTRIBUTE, BLOCK, REAL_SIZE, SPARSE, is_kept
from k3s_rootless.backup.volumes.records import Kind, Member, Segments

MOST_SEGMENTS = 100_000
LONGEST_HEADER = 4 * 2**20
_LONGEST_PATH = 2**16
_LARGEST_ID = 2**32 - 2
_LARGEST = 2**62
_TIME = re.compile(rb"(-?)([0-9]{1,12})\.([0-9]{9})")
_NUMBER = re.compile(rb"[0-9]{1,19}")
_KEYS = frozenset(
    (b"path", b"linkpath", b"uid", b"gid", b"mtime", b"size", b"GNU.sparse.name", REAL_SIZE)
)
_UNEXPECTED = {
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


class Damaged(Exception):
    """A part of the archive that is not as it must be."""


class Readable(Protocol):
    """Something that bytes are read from; an empty result is the end."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""


class Data:
    """The content of a member, which is read in order."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes. Raises EOFError if the stream ends too early."""
        if not self._left:
            return b""
        piece = self._stream.read(min(size, self._left))
        if not piece:
            raise EOFError
        self._left -= len(piece)
        return piece

    def drain(self) -> None:
        """Read the rest."""
        while self.read(2**20):
            pass


def read(stream: Readable) -> Iterator[tuple[Member, Data]]:
    """Yield each member with its content, which may be left unread.

    Raises Damaged for anything that `header` does not write, EOFError for a truncated stream.
    """
    while True:
        block = _exactly(stream, BLOCK)
        if block == bytes(BLOCK):
            break
        extended = _header(block, b"x")
        if extended.size > LONGEST_HEADER:
            raise Damaged("a header of the volumes is too long")
        fields = dict(_records(_exactly(stream, extended.size)))
        _require_padding(stream, extended.size)
        member, data, size = _member(stream, fields)
        yield member, data
        data.drain()
        _require_padding(stream, size)
    if _exactly(stream, BLOCK) != bytes(BLOCK) or stream.read(1):
        raise Damaged("there is data after the last file of the volumes")


def shown(path: bytes) -> str:
    """Return a path for a message."""
    return path.decode("utf-8", "backslashreplace")


def _header(block: bytes, *kinds: bytes) -> tarfile.TarInfo:
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise Damaged("a header of the volumes is damaged") from None
    if found.type not in kinds:
        raise Damaged(f"the volumes contain {_UNEXPECTED.get(found.type, 'an unexpected header')}")
    if found.size < 0:
        raise Damaged("a header of the volumes is damaged")
    return found


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    seen: set[bytes] = set()
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        end = at + _number(data[at : max(at, space)])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n" or key in seen:
            raise Damaged("an extended header of the volumes is damaged")
        seen.add(key)
        yield key, value
        at = end


def _member(stream: Readable, fields: dict[bytes, bytes]) -> tuple[Member, Data, int]:
    found = _header(_exactly(stream, BLOCK), *(kind.value for kind in Kind))
    kind = Kind(found.type)
    _require_known(fields)
    stored = _number(fields.get(b"size", b"%d" % found.size))
    data = Data(stream, stored)
    size, segments = stored, None
    if REAL_SIZE in fields:
        size = _number(fields[REAL_SIZE])
        segments = _segments(data, stored, size)
    member = Member(
        _path(fields.get(b"path", b"")),
        kind,
        found.mode & 0o7777,
        _number(fields.get(b"uid", b""), _LARGEST_ID),
        _number(fields.get(b"gid", b""), _LARGEST_ID),
        _time(fields.get(b"mtime", b"")),
        size,
        _target(kind, fields.get(b"linkpath", b"")),
        tuple(_attributes(fields)),
        segments,
    )
    if kind is not Kind.FILE and (stored or segments is not None):
        raise Damaged(f"`{shown(member.path)}` has content, and is no file")
    return member, data, stored


def _require_known(fields: dict[bytes, bytes]) -> None:
    for key, value in fields.items():
        known = key in _KEYS or key.startswith(ATTRIBUTE) or (key, value) in SPARSE
        if not known:
            raise Damaged("an extended header of the volumes has an unexpected field")
    if b"GNU.sparse.name" in fields and fields[b"GNU.sparse.name"] != fields.get(b"path"):
        raise Damaged("a sparse file of the volumes has two names")


def _segments(data: Data, stored: int, size: int) -> Segments:
    taken = 0

    def number() -> int:
        nonlocal taken
        text = b""
        while not text.endswith(b"\n"):
            if len(text) > 20 or taken >= stored:
                raise Damaged("the map of a sparse file is damaged")
            text += data.read(1)
            taken += 1
        return _number(text[:-1])

    count = number()
    if count > MOST_SEGMENTS + 1:
        raise Damaged("a sparse file has too many parts")
    found = [(number(), number()) for _ in range(count)]
    rest = -taken % BLOCK
    if rest > stored - taken:
        raise Damaged("the map of a sparse file is damaged")
    for _ in range(rest):
        taken += len(data.read(1))
    _require_ordered(found, stored - taken, size)
    return tuple(one for one in found if one[1])


def _require_ordered(found: Iterable[tuple[int, int]], stored: int, size: int) -> None:
    end = total = 0
    for offset, length in found:
        if offset < end or offset + length > size:
            raise Damaged("the parts of a sparse file overlap, or exceed its size")
        end = offset + length
        total += length
    if total != stored:
        raise Damaged("a sparse file has another size than its map")


def _attributes(fields: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in fields.items():
        if not key.startswith(ATTRIBUTE):
            continue
        found = key.removeprefix(ATTRIBUTE).replace(b"%3D", b"=").replace(b"%25", b"%")
        if b"\0" in found or not is_kept(found.decode("utf-8", "surrogateescape")):
            raise Damaged(f"the volumes contain the attribute `{shown(found)}`")
        yield found, value


def _path(path: bytes) -> bytes:
    parts = path.split(b"/")
    if path != b"." and any(part in {b"", b".", b".."} for part in parts):
        raise Damaged(f"the path `{shown(path)}` leaves the volumes, or is not normal")
    if b"\0" in path or len(path) > _LONGEST_PATH:
        raise Damaged("a path in the volumes is not valid")
    return path


def _target(kind: Kind, target: bytes) -> bytes:
    if kind is Kind.HARD_LINK:
        if target == b".":
            raise Damaged("a hard link of the volumes leads to a directory")
        return _path(target)
    if (kind is Kind.LINK) != bool(target) or b"\0" in target:
        raise Damaged("a link of the volumes has no valid target")
    return target


def _time(text: bytes) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise Damaged("a time in the volumes is damaged")
    value = int(found[2]) * 10**9 + int(found[3])
    if found[1]:
        return -value
    return value


def _number(text: bytes, largest: int = _LARGEST) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > largest:
        raise Damaged("a number in the volumes is damaged")
    return int(text)


def _require_padding(stream: Readable, size: int) -> None:
    if any(_exactly(stream, -size % BLOCK)):
        raise Damaged("there is data between the files of the volumes")


def _exactly(stream: Readable, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
