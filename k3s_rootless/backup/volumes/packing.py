"""Copy the volumes to a stream, as root of the user namespace.

Directories are opened relative to their parents and links are not followed, because pods can change
the tree meanwhile. At most three descriptors are open at any depth.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import IO

from k3s_rootless.atomic import reason
from k3s_rootless.backup.volumes import headers, sources
from k3s_rootless.backup.volumes.members import shown
from k3s_rootless.backup.volumes.records import Kind, Member, Packed, Segments
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import open_directory

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OVERFLOW = 65_534
"""The owner that the kernel shows for an owner that is not mapped; it can be mapped as well."""
_PIECE = 2**20
_MOST_LEFT_OUT = 50
_GONE = frozenset((errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO))
"""Errors that show that a pod has removed or replaced a file."""
_OTHER = {stat.S_IFSOCK: "it is a socket, which its program creates again"}
_OWNER_HINT = "see its owner with ls -ln, and your ids in /etc/subuid and /etc/subgid"
_DEVICE = "it is a device, which a user cannot create"


def pack(root: int, out: IO[bytes], ids: int) -> Packed:
    """Write a copy of a directory, and return what it contains.

    `root` is a descriptor of the directory, and `ids` the number of ids in the user namespace.
    Raises RootlessError, OSError if the stream cannot be written.
    """
    packing = _Packing(out, ids)
    packing.run(root)
    out.write(headers.END)
    out.flush()
    return packing.packed


@dataclass(slots=True)
class _Level:
    name: bytes
    identity: tuple[int, int]
    todo: list[bytes]


class _Packing:
    def __init__(self, out: IO[bytes], ids: int) -> None:
        self.packed = Packed()
        self.out = out
        self.ids = ids
        self.links: dict[tuple[int, int], bytes] = {}
        self.levels: list[_Level] = []
        self.here = -1
        self.mount = ""

    def run(self, root: int) -> None:
        with self._reported(b"."):
            self.here = os.open(".", open_directory.FLAGS, dir_fd=root)
        self.mount = open_directory.mount_id(self.here)
        self._enter(b".")
        while self.levels:
            level = self.levels[-1]
            if level.todo:
                self._visit(level.todo.pop())
            elif len(self.levels) > 1:
                self._ascend()
            else:
                self.levels.pop()
        os.close(self.here)

    def _visit(self, name: bytes) -> None:
        path = self._path(name)
        with self._reported(path):
            found = os.stat(name, dir_fd=self.here, follow_symlinks=False)
            self._require_owner(name, path, found)
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFDIR:
                self._descend(name)
            elif kind == stat.S_IFREG and len(self.levels) > 1:
                self._file(name, path)
            elif len(self.levels) == 1:
                self._leave_out(path, "it is no directory, so it is no volume")
            elif kind == stat.S_IFLNK:
                target = os.readlink(name, dir_fd=self.here)
                self._add(_member(path, Kind.LINK, found, target=target))
            elif kind == stat.S_IFIFO:
                self._add(_member(path, Kind.PIPE, found))
            else:
                self._leave_out(path, _OTHER.get(kind, _DEVICE))

    def _enter(self, name: bytes) -> None:
        found = os.fstat(self.here)
        path = self._path(name)
        attributes = sources.attributes(self.here, path)
        self._add(_member(path, Kind.DIRECTORY, found, attributes=attributes))
        if len(self.levels) == 1:
            self.packed.names.append(shown(name))
        entries = os.listdir(self.here)  # noqa: PTH208 (a descriptor)
        todo = sorted(map(os.fsencode, entries), reverse=True)
        self.levels.append(_Level(name, open_directory.identity(found), todo))

    def _descend(self, name: bytes) -> None:
        below = os.open(name, open_directory.FLAGS, dir_fd=self.here)
        if open_directory.mount_id(below) != self.mount:
            os.close(below)
            self._leave_out(self._path(name), "another file system is mounted there")
            return
        os.close(self.here)
        self.here = below
        self._enter(name)

    def _ascend(self) -> None:
        left = self.levels.pop()
        self.here = open_directory.parent(self.here)
        if open_directory.identity(os.fstat(self.here)) != self.levels[-1].identity:
            raise RootlessError(
                f"cannot copy the volumes: `{shown(left.name)}` was moved to another directory"
                " meanwhile",
                hint="stop the pods that use the volumes, or use --stop",
            )

    def _file(self, name: bytes, path: bytes) -> None:
        descriptor = os.open(name, _FILE, dir_fd=self.here)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                self.packed.changed += 1
                return
            first = self.links.get(open_directory.identity(found))
            if first is not None:
                self._add(_member(path, Kind.HARD_LINK, found, target=first))
                return
            if found.st_nlink > 1:
                self.links[open_directory.identity(found)] = path
            member = _member(
                path,
                Kind.FILE,
                found,
                attributes=sources.attributes(descriptor, path),
                segments=sources.segments(descriptor, found),
            )
            self._add(member)
            whole = self._content(descriptor, member)
            if not whole or _state(os.fstat(descriptor)) != _state(found):
                self.packed.changed += 1
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, member: Member) -> bool:
        """Write the data of a file, and return whether none was missing."""
        whole = True
        for offset, length in headers.segments(member):
            left = length
            while left:
                piece = os.pread(descriptor, min(left, _PIECE), offset + length - left)
                if not piece:
                    # The file became shorter: its size is already written.
                    whole = False
                    piece = bytes(min(left, _PIECE))
                self.out.write(piece)
                left -= len(piece)
        stored = headers.stored_size(member)
        self.out.write(headers.padding(stored))
        self.packed.content += stored
        return whole

    def _add(self, member: Member) -> None:
        self.packed.largest_id = max(self.packed.largest_id, member.uid, member.gid)
        self.packed.files += 1
        self.out.write(headers.header(member))

    def _require_owner(self, name: bytes, path: bytes, found: os.stat_result) -> None:
        unknown = max(found.st_uid, found.st_gid) >= self.ids
        if unknown or (found.st_uid == _OVERFLOW and self._is_foreign(name, found)):
            raise RootlessError(
                f"cannot copy the volumes: `{shown(path)}` belongs to an id that is not one of your"
                " subordinate ids",
                hint=_OWNER_HINT,
            )

    def _is_foreign(self, name: bytes, found: os.stat_result) -> bool:
        """Return whether the owner of a file is not mapped, and only shown as the overflow id.

        The kernel allows O_NOATIME to root of the namespace if the owner is mapped.
        """
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            return False
        try:
            os.close(os.open(name, _FILE | os.O_NOATIME, dir_fd=self.here))
        except PermissionError:
            return True
        return False

    def _leave_out(self, path: bytes, why: str) -> None:
        if len(self.packed.left_out) < _MOST_LEFT_OUT:
            self.packed.left_out.append((shown(path), why))
        else:
            self.packed.more += 1

    def _path(self, name: bytes) -> bytes:
        return b"/".join([*(level.name for level in self.levels[1:]), name])

    def _reported(self, path: bytes) -> _Reported:
        return _Reported(self.packed, path)


class _Reported:
    """Count a file that is gone as changed, and name the file of another error."""

    def __init__(self, packed: Packed, path: bytes) -> None:
        self._packed = packed
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: object, __: object) -> bool:
        if not isinstance(error, OSError) or error.errno == errno.ENOSPC:
            return False
        if error.errno in _GONE and self._path != b".":
            self._packed.changed += 1
            return True
        hint = _OWNER_HINT if error.errno == errno.EACCES else None
        raise RootlessError(
            f"cannot read `{shown(self._path)}` of the volumes: {reason(error)}", hint=hint
        ) from error


def _member(
    path: bytes,
    kind: Kind,
    found: os.stat_result,
    *,
    target: bytes = b"",
    attributes: tuple[tuple[bytes, bytes], ...] = (),
    segments: Segments | None = None,
) -> Member:
    return Member(
        path,
        kind,
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_size * (kind is Kind.FILE),
        target,
        attributes,
        segments,
    )


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
