"""Place the archive of container images where K3s imports it at its next start."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from k3s_rootless import atomic
from k3s_rootless.binaries import architectures, download, installed, store
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations import data_directory

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Architecture, Asset
    from k3s_rootless.operations.context import Context

_TEMPORARY = ".k3s-rootless-images.new"


class Origin(Protocol):
    """The place that assets come from."""

    @property
    def architecture(self) -> Architecture:
        """The architecture of the assets."""

    def images(self) -> Asset:
        """Return the archive of images."""

    def bring(self, asset: Asset, part: Path) -> None:
        """Bring an asset to `part`, and verify it."""


@dataclass(frozen=True, slots=True)
class Images:
    """The archive of images in K3s's data directory; `changed` is false if it was there."""

    path: Path
    sha256: str
    size: int
    changed: bool


def place(context: Context, origin: Origin) -> Images:
    """Bring the archive of images to K3s's directory for them. Raises RootlessError.

    K3s imports whatever appears in this directory, so the archive is complete before it gets its
    name there. An archive of another kind for the same images is removed.
    """
    asset = origin.images()
    directory = data_directory.of_next_start(context) / layout.IMAGES
    target = directory / asset.name
    try:
        if target.is_file() and installed.digest(target) == asset.sha256:
            return Images(target, asset.sha256, target.stat().st_size, changed=False)
        atomic.make_directory(directory)
        part = store.incoming(context.paths.own, asset.sha256)
        origin.bring(asset, part)
        part.chmod(0o644)
        _moved(part, target)
        store.discard(part)
        for other in architectures.archives(origin.architecture):
            if other != asset.name:
                (directory / other).unlink(missing_ok=True)
        size = target.stat().st_size
    except OSError as error:
        raise RootlessError(f"cannot place {target}: {atomic.reason(error)}") from error
    return Images(target, asset.sha256, size, changed=True)


def _moved(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copied(part, target)
    atomic.sync(target.parent)


def _copied(part: Path, target: Path) -> None:
    """Copy to another file system, beside the directory that K3s watches."""
    temporary = target.parent.parent / _TEMPORARY
    try:
        download.require_space(temporary.parent, part.stat().st_size, target.name)
        shutil.copyfile(part, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
