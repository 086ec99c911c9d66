"""Read an archive completely, and believe nothing that it contains before that.

Only regular files with plain headers are accepted, each of them as the manifest lists it: in this
order, with this size and this checksum. Links, devices, extended headers and other names are
refused before a byte of them is used. The memory is bounded, whatever the archive contains. The
copy of the volumes is a tar file of its own, with rules of its own; see `volumes.members`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import manifest as manifests
from k3s_rootless.backup.facts import Backup, Entry, Manifest
from k3s_rootless.backup.volumes import order
from k3s_rootless.backup.volumes.members import Damaged, Data, Readable
from k3s_rootless.errors import RootlessError
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_BLOCK = 512
_PIECE = 2**20
_MOST_PADDING = 2**20
"""The maximum number of null bytes after the last file; tar pads to 10 KiB."""
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a directory",
    tarfile.FIFOTYPE: "a pipe",
}

Target = Callable[[Entry], "AbstractContextManager[IO[bytes] | None]"]
"""Open the file that receives an entry; None for an entry that is only checked."""


VolumesTarget = Callable[[Manifest, Readable], object]
"""Read the copy of the volumes."""
_ALL_IDS = 2**32


def check_volumes(manifest: Manifest, stream: Readable) -> None:
    """Check the copy of the volumes. Raises Damaged, EOFError."""
    count = order.check(stream, _ALL_IDS)
    if manifest.volumes is None or count != manifest.volumes.files:
        raise Damaged("its volumes have another number of files than its manifest lists")


def _nowhere(entry: Entry) -> AbstractContextManager[IO[bytes] | None]:
    del entry
    return nullcontext()


def manifest_of(path: Path) -> Backup:
    """Read only the manifest of an archive. Raises RootlessError."""
    with _opened(path) as (stream, size):
        return Backup(path, size, _manifest(stream))


def read(
    path: Path,
    target: Target = _nowhere,
    judge: Callable[[Manifest], None] = lambda _: None,
    volumes: VolumesTarget = check_volumes,
) -> Backup:
    """Read an archive completely, and write each entry to its `target`.

    `judge` raises an error for a manifest that must not be used. `volumes` reads the copy of the
    volumes. Raises RootlessError for a damaged archive; the targets must then be removed.
    """
    with _opened(path) as (stream, size):
        manifest = _manifest(stream)
        judge(manifest)
        for entry in manifest.entries:
            _require_listed(entry, _header(stream))
            content = _Content(stream, entry)
            if entry.name == manifests.VOLUMES:
                volumes(manifest, content)
            else:
                _copy(content, entry, target)
            content.require_listed()
        _require_end(stream)
        return Backup(path, size, manifest)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[gzip.GzipFile, int]]:
    try:
        # O_NONBLOCK, because the path may be a pipe without a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise RootlessError(f"cannot use `{path}`: it is no regular file")
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                yield stream, found.st_size
    except Damaged as error:
        raise _unusable(path, str(error)) from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        why = "it is truncated" if isinstance(error, EOFError) else "it is damaged"
        raise _unusable(path, why) from None
    except OSError as error:
        raise RootlessError(f"cannot use `{path}`: {atomic.reason(error)}") from error


def _unusable(path: Path, why: str) -> RootlessError:
    return RootlessError(
        f"cannot use `{path}`: {printable(why)}",
        hint="list other backups with: k3s-rootless backup list",
    )


def _manifest(stream: gzip.GzipFile) -> Manifest:
    header = _header(stream)
    if header.name != manifests.NAME or not header.isreg():
        raise Damaged("it is no backup of k3s-rootless: its first file is not the manifest")
    if not 0 < header.size <= manifests.LARGEST:
        raise Damaged(f"its manifest has {header.size} bytes")
    data = _exactly(stream, header.size)
    _padding(stream, header.size)
    return manifests.parse(data)


def _header(stream: gzip.GzipFile) -> tarfile.TarInfo:
    try:
        found = tarfile.TarInfo.frombuf(_exactly(stream, _BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise Damaged("a file is missing, or a header is damaged") from None
    # Python strips the slash of a directory's name, which a regular file must not have.
    if found.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
        kind = _KINDS.get(found.type, "an entry of an unexpected type")
        raise Damaged(f"`{found.name}` is {kind}")
    return found


def _require_listed(entry: Entry, header: tarfile.TarInfo) -> None:
    if header.name != entry.name:
        raise Damaged(f"it contains `{header.name}` where its manifest lists `{entry.name}`")
    if header.size != entry.size:
        raise Damaged(f"`{entry.name}` has another size than its manifest lists")


class _Content:
    """The content of an entry; its checksum is computed while it is read."""

    def __init__(self, stream: gzip.GzipFile, entry: Entry) -> None:
        self._stream = stream
        self._entry = entry
        self._data = Data(stream, entry.size)
        self._digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and nothing at the end. Raises EOFError."""
        piece = self._data.read(size)
        self._digest.update(piece)
        return piece

    def require_listed(self) -> None:
        """Read the rest. Raises Damaged if the content is not what the manifest lists."""
        while self.read(_PIECE):
            pass
        _padding(self._stream, self._entry.size)
        if self._digest.hexdigest() != self._entry.sha256:
            raise Damaged(f"`{self._entry.name}` has another checksum than its manifest lists")


def _copy(content: _Content, entry: Entry, target: Target) -> None:
    with target(entry) as file:
        while piece := content.read(_PIECE):
            if file is not None:
                file.write(piece)


def _padding(stream: gzip.GzipFile, size: int) -> None:
    if any(_exactly(stream, -size % _BLOCK)):
        raise Damaged("there is data between its files")


def _require_end(stream: gzip.GzipFile) -> None:
    """Require null bytes until the end, which also makes gzip compare its checksum."""
    if any(_exactly(stream, 2 * _BLOCK)):
        raise Damaged("it contains files that its manifest does not list")
    left = _MOST_PADDING
    while piece := stream.read(min(left, _PIECE)):
        left -= len(piece)
        if any(piece) or left <= 0:
            raise Damaged("there is data after its last file")


def _exactly(stream: gzip.GzipFile, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
