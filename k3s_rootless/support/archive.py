"""Create an archive of the gathered data, and write it completely or not at all."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from k3s_rootless import atomic, output_file, schemas
from k3s_rootless.support.facts import Item, Missing

MANIFEST = "manifest.json"
SCHEMA = schemas.name("bundle-manifest")
NAME = "k3s-rootless-support"
"""The first part of the name of archives and of the folders in them.

It is followed by the time of creation, in 16 characters.
"""


def files(items: Iterable[Item]) -> list[dict[str, Any]]:
    """List the files: name, size in bytes, SHA-256, description, and what could not be read."""
    return [
        {
            "name": item.name,
            "size": len(_bytes(item.text)),
            "sha256": hashlib.sha256(_bytes(item.text)).hexdigest(),
            "what": item.what,
            "problem": item.problem or None,
        }
        for item in items
    ]


def missing(found: Iterable[Missing]) -> list[dict[str, str]]:
    """List the missing files, with the reasons."""
    return [{"name": one.name, "what": one.what, "reason": one.reason} for one in found]


def manifest(items: Sequence[Item], absent: Sequence[Missing], about: Mapping[str, Any]) -> Item:
    """Return the list of contents as a file of the archive; `about` comes before the lists."""
    content = {"schema": SCHEMA, **about, "files": files(items), "missing": missing(absent)}
    return Item(
        MANIFEST,
        "list of all files and of the missing parts",
        json.dumps(content, indent=2, ensure_ascii=False) + "\n",
    )


def packed(items: Sequence[Item], folder: str, made: datetime) -> bytes:
    """Return the archive, with all files in one folder.

    The archive does not contain the user name, the ids and the file modes of its creator.
    """
    content = io.BytesIO()
    # The gzip of tarfile writes the name of the file and the time into the header.
    with (
        gzip.GzipFile(filename="", fileobj=content, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in items:
            data = _bytes(item.text)
            entry = tarfile.TarInfo(f"{folder}/{item.name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(made.timestamp())
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def require_free(path: Path, *, force: bool) -> None:
    """Raise an error if the path exists, unless `force` is set; see `output_file`."""
    output_file.require_free(path, _HINTS, force=force)


def write(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file that only its owner can read; see `output_file.writing` for the errors."""
    with output_file.writing(path, rf"{NAME}-\w{{16}}\.tar\.gz", _HINTS, force=force) as file:
        file.write(data)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _hint(error: OSError, path: Path) -> str | None:
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return "write to your home directory: k3s-rootless bundle -o ~/support.tar.gz"
    if error.errno == errno.ENOENT:
        return f"create the directory: mkdir -p {path.parent}"
    if error.errno == errno.ENOTDIR:
        return f"{path.parent} is not a directory; name another file with -o"
    return atomic.hint(error, path)


_HINTS = output_file.Hints(lambda path: f"name a file: -o {path}/support.tar.gz", _hint)
