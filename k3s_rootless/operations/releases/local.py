"""The assets of a release in files of this host, for hosts without a network."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.binaries import architectures, checksums, download, tags
from k3s_rootless.binaries.facts import LARGEST_IMAGES, Asset
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from k3s_rootless.binaries.facts import Architecture
    from k3s_rootless.operations.context import Context

_CHUNK = 1024 * 1024


def wanted_version(text: str | None) -> str | None:
    """Return the release that a file must be; None if any is accepted. Raises UsageError."""
    if text is None:
        return None
    found = tags.parse(text)
    if not isinstance(found, tags.Exact):
        raise UsageError(
            f"cannot use `{printable(text)}` with --file: name the release, such as v1.36.3+k3s1,"
            " or leave it out"
        )
    return found.tag


@dataclass(frozen=True, slots=True)
class Files:
    """A binary and its checksum file; archives of images are searched beside the binary."""

    context: Context
    file: Path
    sums: Path
    architecture: Architecture

    def binary(self) -> tuple[Asset, str]:
        """Return the asset of K3s itself, and its checksum file. Raises RootlessError."""
        name = self.architecture.binary
        found = self._checksums()
        if name not in found:
            raise RootlessError(
                f"cannot verify {self.file}: {self.sums} does not list {name}, which this host"
                " needs",
                hint=f"use {self.architecture.checksums} of the same release",
            )
        return Asset(name, str(self.file.absolute()), found[name]), str(self.sums.absolute())

    def second_opinion(self, asset: Asset) -> None:
        """Return None: nothing is queried for files of this host."""

    def images(self) -> Asset:
        """Return the archive of images beside the binary. Raises RootlessError."""
        found = self._checksums()
        for name in architectures.archives(self.architecture):
            path = self.file.absolute().with_name(name)
            if name in found and path.exists():
                return Asset(name, str(path), found[name], LARGEST_IMAGES)
        raise RootlessError(
            f"cannot find the images: {self.file.absolute().parent} has no"
            f" {self.architecture.images}.tar.zst that {self.sums} lists"
        )

    def bring(self, asset: Asset, part: Path) -> None:
        """Copy a file and verify the copy. Raises RootlessError."""
        try:
            found = _copied(asset, part)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise RootlessError(f"cannot copy {asset.url}: {atomic.reason(error)}") from error
        if found != asset.sha256:
            part.unlink(missing_ok=True)
            raise self._mismatch(asset, found)

    def _mismatch(self, asset: Asset, found: str) -> RootlessError:
        """Return the error for a file with another checksum, which can be that of another asset."""
        other = [name for name, one in self._checksums().items() if one == found]
        if other:
            return RootlessError(
                f"cannot use {asset.url}: it is {other[0]}, but this host needs {asset.name}"
            )
        return download.ChecksumMismatch(
            f"cannot use {asset.url}: its SHA-256 is {found}, but {self.sums} lists {asset.sha256}"
            f" for {asset.name}",
            hint="copy both files of the same release again",
        )

    def _checksums(self) -> dict[str, str]:
        try:
            with self.sums.open("rb") as file:
                text = file.read(checksums.LARGEST).decode("utf-8", "replace")
        except OSError as error:
            raise RootlessError(f"cannot read {self.sums}: {atomic.reason(error)}") from error
        return checksums.parse(text)


def _copied(asset: Asset, part: Path) -> str:
    """Copy a file, and return the SHA-256 of what was written."""
    # Without O_NONBLOCK, the open of a pipe without a writer never returns.
    descriptor = os.open(asset.url, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > asset.largest:
            raise RootlessError(f"cannot use {asset.url}: it is not a file of K3s")
        download.require_space(part.parent, status.st_size, asset.name)
        part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o600), "wb") as target:
            return _written(source, target)


def _written(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := source.read(_CHUNK):
        digest.update(data)
        target.write(data)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()
