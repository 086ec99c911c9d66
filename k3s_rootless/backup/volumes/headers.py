"""The form of a copy of volumes: a tar file with an extended header (pax) before each member.

GNU tar can unpack it in a user namespace.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from k3s_rootless.backup.volumes.records import Member, Segments

BLOCK = 512
END = bytes(2 * BLOCK)
ATTRIBUTE = b"SCHILY.xattr."
REAL_SIZE = b"GNU.sparse.realsize"
SPARSE = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
KEPT = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
"""The attributes that are kept, besides those of users (`user.`)."""
_LARGEST_USTAR = 8**11 - 1


def is_kept(attribute: str) -> bool:
    """Return whether an extended attribute is kept."""
    return attribute.startswith("user.") or attribute in KEPT


def header(member: Member) -> bytes:
    """Return the headers of a member, and the map of a sparse file, which its data follow."""
    content, stored = b"", member.size
    if member.segments is not None:
        content = _map(member)
        stored = len(content) + sum(length for _, length in member.segments)
    records = b"".join(_record(key, value) for key, value in _pairs(member, stored))
    return (
        _ustar(b"x", len(records))
        + records
        + padding(len(records))
        + _ustar(member.kind.value, stored, member.mode)
        + content
    )


def padding(size: int) -> bytes:
    """Return the null bytes after content of a size."""
    return bytes(-size % BLOCK)


def segments(member: Member) -> Segments:
    """Return the parts of a file that contain data."""
    if member.segments is None:
        return ((0, member.size),)
    return member.segments


def stored_size(member: Member) -> int:
    """Return the number of data bytes that follow the headers of a file."""
    return sum(length for _, length in segments(member))


def _pairs(member: Member, stored: int) -> Iterator[tuple[bytes, bytes]]:
    yield b"path", member.path
    if member.target:
        yield b"linkpath", member.target
    yield b"uid", b"%d" % member.uid
    yield b"gid", b"%d" % member.gid
    sign = b"-" if member.modified < 0 else b""
    seconds, rest = divmod(abs(member.modified), 10**9)
    yield b"mtime", b"%b%d.%09d" % (sign, seconds, rest)
    if stored > _LARGEST_USTAR:
        yield b"size", b"%d" % stored
    if member.segments is not None:
        yield from SPARSE
        yield b"GNU.sparse.name", member.path
        yield REAL_SIZE, b"%d" % member.size
    for key, value in member.attributes:
        quoted = key.replace(b"%", b"%25").replace(b"=", b"%3D")  # as GNU tar does
        yield ATTRIBUTE + quoted, value


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (key, value)
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d%b" % (length, rest)


def _ustar(kind: bytes, size: int, mode: int = 0o600) -> bytes:
    info = tarfile.TarInfo("extended-header")
    info.type, info.mode = kind, mode
    info.size = min(size, _LARGEST_USTAR)
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _map(member: Member) -> bytes:
    # GNU tar sets the size of a file that ends with a hole by an empty last segment.
    segments = (*(member.segments or ()), (member.size, 0))
    numbers = (len(segments), *(number for one in segments for number in one))
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + padding(len(text))
