"""Write the volumes of a copy to an empty directory, as root of the user namespace.

Each file is created by its last part in the open directory above it, and must not exist before.
Nothing is looked up by a path, so that no link can lead out of the directory. At most three
descriptors are open at any depth.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace

from k3s_rootless.atomic import reason
from k3s_rootless.backup.volumes import headers, members
from k3s_rootless.backup.volumes.members import Damaged, Data, Readable, shown
from k3s_rootless.backup.volumes.order import Order, last_part
from k3s_rootless.backup.volumes.records import Kind, Member
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import open_directory

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PIECE = 2**20


def unpack(stream: Readable, root: int, ids: int) -> int:
    """Write all members below `root`, a descriptor of an empty directory.

    `ids` is the number of ids in the user namespace. Returns the number of attributes that the file
    system cannot store. Raises Damaged, EOFError, RootlessError.
    """
    unpacking = _Unpacking(root, ids)
    try:
        for member, data in members.read(stream):
            _add(unpacking, member, data)
        unpacking.end()
    finally:
        unpacking.close()
    return unpacking.unsupported


def _add(unpacking: _Unpacking, member: Member, data: Data) -> None:
    try:
        unpacking.add(member, data)
    except FileExistsError:
        raise Damaged(f"the volumes contain `{shown(member.path)}` twice") from None
    except OSError as error:
        raise RootlessError(
            f"cannot unpack `{shown(member.path)}` of the volumes: {reason(error)}"
        ) from error


@dataclass(slots=True)
class _Level:
    member: Member
    identity: tuple[int, int]


class _Unpacking:
    def __init__(self, root: int, ids: int) -> None:
        self.root = root
        self.order = Order(ids)
        self.levels: list[_Level] = []
        self.here = -1
        self.unsupported = 0

    def add(self, member: Member, data: Data) -> None:
        depth = self.order.follow(member)
        if not self.levels:
            # No other user must be able to replace a volume, whatever the copy contains.
            private = replace(member, mode=member.mode & ~_OTHERS_WRITE)
            self._push(private, os.open(".", open_directory.FLAGS, dir_fd=self.root))
            return
        while len(self.levels) > depth + 1:
            self._ascend()
        name = last_part(member.path)
        match member.kind:
            case Kind.DIRECTORY:
                os.mkdir(name, 0o700, dir_fd=self.here)
                self._push(member, os.open(name, open_directory.FLAGS, dir_fd=self.here))
            case Kind.FILE:
                self._file(name, member, data)
            case Kind.HARD_LINK:
                self._hard_link(name, member)
            case Kind.LINK:
                os.symlink(member.target, name, dir_fd=self.here)
                self._own(name, member)
            case Kind.PIPE:
                os.mkfifo(name, 0o600, dir_fd=self.here)
                self._own(name, member, mode=member.mode)

    def end(self) -> None:
        """Finish all open directories."""
        if not self.levels:
            raise Damaged("the copy of the volumes is empty")
        while len(self.levels) > 1:
            self._ascend()
        self._finish(self.here, self.levels.pop().member)

    def close(self) -> None:
        """Close the directory that is open, also after an error."""
        if self.here >= 0:
            os.close(self.here)
            self.here = -1

    def _push(self, member: Member, descriptor: int) -> None:
        self.close()
        self.here = descriptor
        self.levels.append(_Level(member, open_directory.identity(os.fstat(descriptor))))

    def _ascend(self) -> None:
        left = self.levels.pop()
        above = os.open("..", open_directory.FLAGS, dir_fd=self.here)
        try:
            self._require_unmoved(above, left.member)
            # Last, because its owner and mode apply from now on.
            self._finish(self.here, left.member)
        except BaseException:
            os.close(above)
            raise
        self.close()
        self.here = above

    def _require_unmoved(self, above: int, member: Member) -> None:
        if open_directory.identity(os.fstat(above)) != self.levels[-1].identity:
            raise RootlessError(
                f"cannot unpack the volumes: `{shown(member.path)}` was moved meanwhile"
            )

    def _file(self, name: bytes, member: Member, data: Data) -> None:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=self.here)
        try:
            for offset, length in headers.segments(member):
                _write(descriptor, data, offset, length)
            if member.segments is not None:
                os.ftruncate(descriptor, member.size)
            self._finish(descriptor, member)
        finally:
            os.close(descriptor)

    def _hard_link(self, name: bytes, member: Member) -> None:
        *above, last = member.target.split(b"/")
        directory = os.open(".", open_directory.FLAGS, dir_fd=self.root)
        try:
            for part in above:
                below = os.open(part, open_directory.FLAGS, dir_fd=directory)
                os.close(directory)
                directory = below
            found = os.stat(last, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise Damaged(f"the hard link `{shown(member.path)}` leads to no file")
            os.link(last, name, src_dir_fd=directory, dst_dir_fd=self.here, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            raise Damaged(f"the hard link `{shown(member.path)}` leads to no file") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Damaged(f"the hard link `{shown(member.path)}` follows a link") from None
            raise
        finally:
            os.close(directory)

    def _own(self, name: bytes, member: Member, mode: int | None = None) -> None:
        os.chown(name, member.uid, member.gid, dir_fd=self.here, follow_symlinks=False)
        if mode is not None:
            os.chmod(name, mode, dir_fd=self.here)
        times = (member.modified, member.modified)
        os.utime(name, ns=times, dir_fd=self.here, follow_symlinks=False)

    def _finish(self, descriptor: int, member: Member) -> None:
        # In this order: a new owner clears setuid bits and capabilities, and the mode of a file
        # with an access control list is part of the list.
        os.fchown(descriptor, member.uid, member.gid)
        os.fchmod(descriptor, member.mode)
        for key, value in member.attributes:
            try:
                os.setxattr(descriptor, key, value)
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
                self.unsupported += 1
        os.utime(descriptor, ns=(member.modified, member.modified))


def _write(descriptor: int, data: Data, offset: int, length: int) -> None:
    left = length
    while left:
        piece = data.read(min(left, _PIECE))
        if not piece:
            raise EOFError
        view = memoryview(piece)
        while view:
            written = os.pwrite(descriptor, view, offset + length - left)
            view = view[written:]
            left -= written
