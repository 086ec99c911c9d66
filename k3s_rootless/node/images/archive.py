"""Reader of image archives: Docker and OCI archives, plain or compressed.

The archive is read once, from its beginning to its end, so that it can come from a pipe.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.node.images import references
from k3s_rootless.node.images.facts import Archive, Compression

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 2**20
_LARGEST_DOCUMENT = 16 * 2**20
_TAR_MAGIC = 257
_HEAD = 512
_LARGEST_WINDOW = 27
"""The logarithm of 128 MiB; the archives of K3s have a window of 32 MiB."""
_HINT = "create an archive with: podman save -o app.tar NAME (or docker save)"
_GZIP = 16 + zlib.MAX_WBITS
_DOCUMENTS: dict[str, Callable[[Any], tuple[list[str], int]]] = {
    "manifest.json": references.of_docker,
    "index.json": references.of_oci,
}
_INVALID = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def compression(head: bytes) -> Compression:
    """Return how an archive with this beginning is compressed."""
    if head.startswith(b"\x1f\x8b"):
        return Compression.GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return Compression.ZSTD
    return Compression.NONE


def opened(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the pieces of an archive without its compression; `name` is for errors.

    Raises RootlessError before the first piece if this is not an archive, and later if it is
    damaged.
    """
    source = iter(pieces)
    head = _joined(source, _HEAD)
    plain = _plain(head, source, name)
    first = _joined(plain, _HEAD)
    if first[_TAR_MAGIC : _TAR_MAGIC + 5] != b"ustar":
        raise RootlessError(
            f"cannot import `{name}`: it is not an archive of images",
            hint=_HINT,
        )
    yield first
    yield from plain


def scan(pieces: Iterable[bytes], name: str, passed: Callable[[bytes], object] = len) -> Archive:
    """Read the pieces of an archive to their end, and return what the archive contains.

    Each piece is given to `passed`, without compression. `name` is for errors. Raises
    RootlessError.
    """
    source = _Pieces(opened(pieces, name), passed)
    found = _Found()
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=PIECE) as read:
            for member in read:
                _note(found, read, member, name)
        while source.read(PIECE):
            pass
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(name) from error
    if not found.known:
        raise RootlessError(f"cannot import `{name}`: the archive contains no images", hint=_HINT)
    return Archive(references.unique(found.names), found.unnamed)


def scanned(path: Path) -> Archive:
    """Return what an archive contains. Raises RootlessError."""
    with of_file(path) as file:
        return scan(iter(lambda: file.read(PIECE), b""), str(path))


def of_file(path: Path) -> IO[bytes]:
    """Open a file. Raises RootlessError."""
    try:
        file = path.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RootlessError(f"cannot read `{path}`: {reason}") from error
    return file


@dataclass(slots=True)
class _Found:
    names: list[str] = field(default_factory=list)
    unnamed: int = 0
    known: bool = False


def _note(found: _Found, read: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    parse = _DOCUMENTS.get(member.name.removeprefix("./"))
    if parse is None or not member.isreg() or member.size > _LARGEST_DOCUMENT:
        return
    file = read.extractfile(member)
    if file is None:
        return
    try:
        names, unnamed = parse(json.load(file))
    except _INVALID as error:
        raise RootlessError(
            f"cannot import `{name}`: its {member.name} does not describe images"
        ) from error
    # An archive can have both documents, for the same images.
    if not found.known or names:
        found.unnamed = unnamed
    found.names += names
    found.known = True


class _Pieces(io.RawIOBase):
    """A file of pieces, each of which is passed on when it is read."""

    def __init__(self, pieces: Iterator[bytes], passed: Callable[[bytes], object]) -> None:
        self._pieces = pieces
        self._passed = passed
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
            if self._left:
                self._passed(self._left)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _joined(source: Iterator[bytes], least: int) -> bytes:
    found = b""
    for piece in source:
        found += piece
        if len(found) >= least:
            break
    return found


def _plain(head: bytes, source: Iterator[bytes], name: str) -> Iterator[bytes]:
    kind = compression(head)
    if kind is Compression.GZIP:
        return _gunzipped(head, source, name)
    if kind is Compression.ZSTD:
        return _unzstd(head, source, name)
    return _chained(head, source)


def _chained(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from source


def _gunzipped(head: bytes, source: Iterator[bytes], name: str) -> Iterator[bytes]:
    # A file of gzip can have several members. `unpacker` is None between two of them.
    unpacker = None
    try:
        for piece in _chained(head, source):
            data = piece
            while data:
                unpacker = unpacker or zlib.decompressobj(_GZIP)
                yield unpacker.decompress(data, PIECE)
                data = unpacker.unconsumed_tail
                if unpacker.eof:
                    data = unpacker.unused_data
                    unpacker = None
    except zlib.error as error:
        raise _damaged(name) from error
    if unpacker is not None:
        raise _damaged(name)


def _unzstd(head: bytes, source: Iterator[bytes], name: str) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):
        # Imported here, because few archives need it.
        from compression import zstd
    else:
        # Imported here, because few archives need it.
        from backports import zstd

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW}
    # A file of zstd can have several frames. `unpacker` is None between two of them.
    unpacker = None
    try:
        for piece in _chained(head, source):
            data = piece
            while data or (unpacker is not None and not unpacker.needs_input):
                unpacker = unpacker or zstd.ZstdDecompressor(options=options)
                yield unpacker.decompress(data, PIECE)
                data = b""
                if unpacker.eof:
                    data = unpacker.unused_data
                    unpacker = None
    except zstd.ZstdError as error:
        raise _damaged(name) from error
    if unpacker is not None:
        raise _damaged(name)


def _damaged(name: str) -> RootlessError:
    return RootlessError(f"cannot import `{name}`: the archive is damaged or incomplete")
