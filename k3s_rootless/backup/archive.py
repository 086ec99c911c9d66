"""Write the archive of a backup, completely or not at all.

The archive is a tar file with plain ustar headers, compressed with gzip. The manifest is its first
file. Any tar program can unpack it.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import tarfile
from datetime import datetime
from pathlib import Path
from typing import IO

from k3s_rootless import atomic
from k3s_rootless.backup import manifest as manifests
from k3s_rootless.backup.facts import Manifest
from k3s_rootless.errors import RootlessError, WouldOverwrite

SUFFIX = ".tar.gz"
PREFIX = "k3s-rootless-backup-"
_NAMES = rf"{PREFIX}\w{{16}}\.tar\.gz"
BLOCK = 512
_LEVEL = 1
"""The fastest level of gzip. Level 6 takes four times as long for 10 % less."""
_LARGEST_USTAR = 8 * 2**30
_PIECE = 2**20


def name(created: datetime) -> str:
    """Return the name of a new archive."""
    return f"{PREFIX}{created.strftime('%Y%m%dT%H%M%SZ')}{SUFFIX}"


def require_free(path: Path, *, force: bool) -> None:
    """Raise an error if the path exists, even as a dangling link, unless `force` is set.

    Raises WouldOverwrite, RootlessError.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise RootlessError(
            f"cannot write `{path}`: it is a directory", hint="name a file with -o FILE"
        )
    if not force:
        raise _exists(path)


def write(path: Path, manifest: Manifest, folder: Path, *, force: bool) -> int:
    """Write an archive with mode 0600, and return its size in bytes.

    `folder` contains the files of the manifest. Files that an interrupted run left beside `path`
    are removed. A link at the path is replaced, never followed. Raises RootlessError,
    WouldOverwrite if another program has created the path since.
    """
    require_free(path, force=force)
    atomic.sweep(path.parent, rf"{_NAMES}|{re.escape(path.name[:200])}")
    try:
        with atomic.being_written(path) as (file, new):
            _pack(file, manifest, folder)
            atomic.finish(file, 0o600)
            size = os.fstat(file.fileno()).st_size
            if force:
                new.replace(path)
            else:
                atomic.place(new, path)
        atomic.sync(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _unwritable(path, error) from error
    return size


def _pack(file: IO[bytes], manifest: Manifest, folder: Path) -> None:
    seconds = int(manifest.created.timestamp())
    # The header would otherwise contain the name of the temporary file.
    with gzip.GzipFile(
        filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0
    ) as stream:
        content = manifests.render(manifest)
        _add(stream, manifests.NAME, len(content), 0o600, seconds, io.BytesIO(content))
        for entry in manifest.entries:
            with (folder / entry.name).open("rb") as source:
                _add(stream, entry.name, entry.size, entry.mode, entry.modified, source)
        stream.write(bytes(2 * BLOCK))


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


def _exists(path: Path) -> WouldOverwrite:
    return WouldOverwrite(
        f"cannot write `{path}`: it already exists",
        hint="name another file with -o, or replace this file with --force",
    )


def _unwritable(path: Path, error: OSError) -> RootlessError:
    hint = f"see how much space is left: df -h {path.parent}"
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}:
        hint = "name another file with -o"
    if error.errno == errno.ENOENT:
        hint = f"create the directory: mkdir -p {path.parent}"
    return RootlessError(f"cannot write `{path}`: {atomic.reason(error)}", hint=hint)
