"""Place archives of images where K3s imports them at each start."""

from __future__ import annotations

import filecmp
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError, WouldOverwrite
from k3s_rootless.k3s import layout
from k3s_rootless.k3s.features import Since
from k3s_rootless.node.images import archive
from k3s_rootless.node.images.facts import Compression
from k3s_rootless.operations import installed, server_settings
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context

_WATCHED = Since.of("v1.29.13+k3s1", "v1.30.9+k3s1", "v1.31.5+k3s1", "v1.32.0+k3s1")
"""A running K3s imports what appears in the directory (January 2025)."""
_ENDINGS = {
    Compression.NONE: (".tar",),
    Compression.GZIP: (".tar.gz", ".tgz"),
    Compression.ZSTD: (".tar.zst", ".tzst"),
}
_TEMPORARY = ".k3s-rootless-preload.new"


@dataclass(frozen=True, slots=True)
class Preloaded:
    """An archive in K3s's directory for images; `changed` is false if it was there already.

    `at_once` is true if the running K3s imports it now, and not only at its next start.
    """

    path: Path
    names: tuple[str, ...]
    size: int
    changed: bool
    at_once: bool


def preload(context: Context, path: Path, *, force: bool = False) -> Preloaded:
    """Copy an archive to K3s's directory for images.

    K3s imports whatever has a name there, so the copy is complete before it gets its name. Raises
    WouldOverwrite if another archive has this name, unless `force`; raises RootlessError.
    """
    state = installed.unit(context)
    data = server_settings.of(context, state).data
    names = archive.scanned(path).names
    target = data / layout.IMAGES / _name(path)
    at_once = state.running and _is_watched(files.release_of(state.fragment))
    try:
        size = path.stat().st_size
        if target.exists() and filecmp.cmp(path, target, shallow=False):
            return Preloaded(target, names, size, changed=False, at_once=at_once)
        if target.exists() and not force:
            raise WouldOverwrite(
                f"cannot preload `{path}`: `{target}` exists and is another archive",
                hint=f"replace it with: k3s-rootless images preload --force {path}",
            )
        _copy(path, target)
    except OSError as error:
        raise RootlessError(
            f"cannot preload `{path}`: {atomic.reason(error)}",
            hint=atomic.hint(error, target),
        ) from error
    return Preloaded(target, names, size, changed=True, at_once=at_once)


def _copy(path: Path, target: Path) -> None:
    atomic.make_directory(target.parent)
    temporary = target.parent.parent / _TEMPORARY
    try:
        shutil.copyfile(path, temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(target)
        atomic.sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _name(path: Path) -> str:
    """Return the name of the copy: K3s recognises an archive by the ending of its name."""
    with archive.of_file(path) as file:
        kind = archive.compression(file.read(8))
    if path.name.endswith(_ENDINGS[kind]):
        return path.name
    return f"{path.name}{kind.value}"


def _is_watched(release: Version | None) -> bool:
    return release is None or _WATCHED.holds(release)
