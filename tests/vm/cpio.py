"""Archive that the kernel unpacks as its first file system."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """File of the archive, or directory without content."""

    path: str
    mode: int
    content: bytes = b""


def directory(path: str) -> Member:
    """Return an empty directory."""
    return Member(path, stat.S_IFDIR | 0o755)


def program(path: str, content: bytes) -> Member:
    """Return an executable file."""
    return Member(path, stat.S_IFREG | 0o755, content)


def archive(members: Iterable[Member]) -> bytes:
    """Return `members` in the "newc" format."""
    parts = [
        _member(number, member)
        for number, member in enumerate([*members, Member("TRAILER!!!", 0)], start=1)
    ]
    return b"".join(parts)


def _member(number: int, member: Member) -> bytes:
    name = member.path.encode() + b"\0"
    # Inode, mode, uid, gid, links, time, size, four device numbers, length of the name, checksum.
    fields = (number, member.mode, 0, 0, 1, 0, len(member.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(member.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
