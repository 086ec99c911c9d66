"""Decide which paths a restore replaces.

Only the paths that belong to a backup are replaced, whatever else an archive contains: an archive
can be written by another program, and must not change a file such as ~/.profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from k3s_rootless.backup import contents, names
from k3s_rootless.backup.facts import Manifest, Root, Slot
from k3s_rootless.backup.manifest import VOLUMES, split
from k3s_rootless.k3s import layout

if TYPE_CHECKING:
    from pathlib import Path

_IMAGES = f"{Root.DATA.value}/{layout.IMAGES}"
_SUFFIX = re.compile(r"\.ya?ml")


def of(
    manifest: Manifest,
    roots: Mapping[Root, Path],
    configuration: str,
    existing: Iterable[Path],
    *,
    volumes: bool = True,
) -> tuple[Slot, ...]:
    """Return the paths that a restore replaces.

    `configuration` is the path of K3s's configuration file, empty if there is none. `existing` are
    the user's files for containerd and the drop-ins of k3s-rootless that exist now: those that the
    backup does not contain are removed. Images and volumes are replaced only if the backup contains
    them, and volumes only with `volumes`.
    """
    entries = tuple(one.name for one in manifest.entries)
    found = [_slot(roots, f"{Root.DATA.value}/{name}", entries) for name in _whole()]
    found.append(_etcd(manifest, roots, entries))
    single = (one for one in entries if is_single(one, roots, configuration))
    found += [_slot(roots, one, (one,)) for one in single]
    if any(one.startswith(f"{_IMAGES}/") for one in entries):
        found.append(_slot(roots, _IMAGES, entries))
    if volumes and manifest.volumes is not None:
        found.append(Slot(roots[Root.VOLUMES], VOLUMES, (VOLUMES,), volumes=True))
    known = {slot.path for slot in found}
    return (*found, *(Slot(path) for path in existing if path not in known))


def skipped(manifest: Manifest, roots: Mapping[Root, Path], configuration: str) -> tuple[str, ...]:
    """Return the entries of a backup that a restore leaves out."""
    data = (f"{Root.DATA.value}/{name}" for name in (*_whole(), layout.ETCD))
    whole = (*data, contents.SNAPSHOT, _IMAGES, VOLUMES)
    return tuple(
        one.name
        for one in manifest.entries
        if not is_single(one.name, roots, configuration)
        and not any(one.name == name or one.name.startswith(f"{name}/") for name in whole)
    )


def is_single(entry: str, roots: Mapping[Root, Path], configuration: str) -> bool:
    """Return whether an entry is a file of its own that belongs to a backup."""
    root, rest = split(entry)
    if root is Root.DATA:
        directory = f"{layout.CONTAINERD_CONFIGURATION}/"
        inside = rest.removeprefix(directory)
        return inside != rest and any(_matches(inside, one) for one in names.TEMPLATES)
    if root is Root.UNIT:
        return rest in names.DROP_INS
    if root is Root.HOME and configuration:
        path = str(roots[root] / rest)
        if path.startswith(f"{roots[Root.DATA]}/"):
            return False  # it is replaced with its directory
        above, _, last = path.rpartition("/")
        in_directory = above == f"{configuration}.d" and _SUFFIX.search(last) is not None
        return path == configuration or in_directory
    return False


def _matches(path: str, pattern: str) -> bool:
    same_depth = path.count("/") == pattern.count("/")
    return same_depth and all(map(fnmatchcase, path.split("/"), pattern.split("/")))


def _whole() -> tuple[str, ...]:
    database = (f"{names.DATABASE_DIRECTORY}/{name}" for name in names.DATABASE_FILES)
    return (*database, layout.ETCD_WAS_RESET, *names.SINGLE, *names.TREES)


def _etcd(manifest: Manifest, roots: Mapping[Root, Path], entries: Iterable[str]) -> Slot:
    if contents.has_snapshot(manifest):
        path = roots[Root.DATA] / layout.ETCD
        return Slot(path, contents.SNAPSHOT, (contents.SNAPSHOT,), snapshot=True)
    return _slot(roots, f"{Root.DATA.value}/{layout.ETCD}", entries)


def _slot(roots: Mapping[Root, Path], entry: str, entries: Iterable[str]) -> Slot:
    root, rest = split(entry)
    inside = tuple(one for one in entries if one == entry or one.startswith(f"{entry}/"))
    return Slot(roots[root] / rest, entry, inside)
