"""Write the archive of a backup, completely or not at all.

The archive is a tar file with plain ustar headers, compressed with gzip. The manifest is its first
file. Any tar program can unpack it.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import IO, Any

from k3s_rootless import atomic, output_file
from k3s_rootless.backup import manifest as manifests
from k3s_rootless.backup import names
from k3s_rootless.backup.facts import Manifest
from k3s_rootless.errors import RootlessError

BLOCK = 512
_LEVEL = 1
"""A fast level of gzip. Level 6 of zlib takes four times as long for 10 % less."""
_LARGEST_USTAR = 8 * 2**30
_PIECE = 2**20


def require_free(path: Path, *, force: bool) -> None:
    """Raise an error if the path exists, unless `force` is set; see `output_file`."""
    output_file.require_free(path, _HINTS, force=force)


def write(path: Path, manifest: Manifest, folder: Path, *, force: bool) -> int:
    """Write an archive, and return its size in bytes; see `output_file.writing` for the errors.

    `folder` contains the files of the manifest.
    """
    with output_file.writing(path, names.ARCHIVES, _HINTS, force=force) as file:
        _pack(file, manifest, folder)
        file.flush()
        return os.fstat(file.fileno()).st_size


def _pack(file: IO[bytes], manifest: Manifest, folder: Path) -> None:
    seconds = int(manifest.created.timestamp())
    with _compressed(file) as stream:
        content = manifests.render(manifest)
        _add(stream, manifests.NAME, len(content), 0o600, seconds, io.BytesIO(content))
        for entry in manifest.entries:
            with (folder / entry.name).open("rb") as source:
                _add(stream, entry.name, entry.size, entry.mode, entry.modified, source)
        stream.write(bytes(2 * BLOCK))


def _compressed(file: IO[bytes]) -> gzip.GzipFile:
    """Return a gzip stream; its header has no name of the temporary file, and no time."""
    options: dict[str, Any] = {
        "filename": "",
        "fileobj": file,
        "mode": "wb",
        "compresslevel": _LEVEL,
        "mtime": 0,
    }
    try:
        # Five times as fast as zlib, for an archive of the same size.
        from isal import igzip
    except ImportError:
        return gzip.GzipFile(**options)
    stream: gzip.GzipFile = igzip.IGzipFile(**options)  # type: ignore[no-untyped-call]
    return stream


def _add(
    stream: gzip.GzipFile, name: str, size: int, mode: int, seconds: int, source: IO[bytes]
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, seconds
    # Only GNU's format has room for such a size.
    large = size >= _LARGEST_USTAR
    try:
        header = info.tobuf(
            tarfile.GNU_FORMAT if large else tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"
        )
    except ValueError:
        raise RootlessError(
            f"cannot back up `{name}`: its path is too long for an archive",
            hint="rename that file, then repeat the command",
        ) from None
    stream.write(header)
    left = size
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise RootlessError(f"cannot back up `{name}`: its copy became shorter")
        stream.write(piece)
        left -= len(piece)
    stream.write(bytes(-size % BLOCK))


def _hint(error: OSError, path: Path) -> str | None:
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}:
        return "name another file with -o"
    if error.errno == errno.ENOENT:
        return f"create the directory: mkdir -p {path.parent}"
    return atomic.hint(error, path)


_HINTS = output_file.Hints(lambda _: "name a file with -o FILE", _hint)
