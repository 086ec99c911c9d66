"""Judge what changes if a backup is restored into other directories, or under another user.

The node keeps the name that it has in the backup: PersistentVolumes, pods and the password of the
node belong to this name. Paths are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from k3s_rootless.backup.facts import Manifest, Origin, Root
from k3s_rootless.backup.persistent_volumes import PersistentVolume

_PLAIN = re.compile(r"/[A-Za-z0-9._/@+-]*")
_ROOTS = {
    Root.VOLUMES: "directory of volumes",
    Root.DATA: "data directory",
    Root.HOME: "home directory",
}
"""The longest paths first: one is usually in the other."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths that change: pairs of the path in the backup and the path here."""

    pairs: tuple[tuple[str, str], ...] = ()

    def moved(self, path: str) -> str:
        """Return a path of the backup as it is here."""
        for old, new in self.pairs:
            if path == old or path.startswith(f"{old}/"):
                return new + path.removeprefix(old)
        return path

    def replaced(self, text: str) -> str:
        """Return a text with the paths of the backup replaced."""
        if not self.pairs:
            return text
        new = dict(self.pairs)
        either = "|".join(re.escape(old) for old, _ in self.pairs)
        pattern = rf"(?<![A-Za-z0-9._/-])(?:{either})(?![A-Za-z0-9._-])"
        return re.sub(pattern, lambda found: new[found[0]], text)


@dataclass(frozen=True, slots=True)
class MovedVolume:
    """A PersistentVolume, and its path after the restore."""

    volume: PersistentVolume
    path: str


@dataclass(frozen=True, slots=True)
class Volumes:
    """PersistentVolumes that are moved, those without data here, and those of other nodes."""

    moved: tuple[MovedVolume, ...] = ()
    missing: tuple[MovedVolume, ...] = ()
    of_other_nodes: tuple[PersistentVolume, ...] = ()


def paths(manifest: Manifest, here: Origin) -> Paths:
    """Return the paths that change."""
    pairs = []
    for root in _ROOTS:
        old, new = manifest.origin.roots.get(root), here.roots.get(root)
        if old and new and old != new:
            pairs.append((old.rstrip("/"), new.rstrip("/")))
    return Paths(tuple(sorted(pairs, key=lambda pair: -len(pair[0]))))


def problems(found: Paths) -> Iterator[str]:
    """Yield why paths cannot be replaced in texts."""
    for pair in found.pairs:
        for path in pair:
            if not _PLAIN.fullmatch(path) or path.count("/") < 2:
                yield f"the path {path} cannot be replaced in configuration files"


def changes(manifest: Manifest, here: Origin) -> Iterator[str]:
    """Yield what is another one here, and what is done about it."""
    origin = manifest.origin
    if origin.user != here.user:
        yield f"the backup is from the user {origin.user}, and you are {here.user}"
    for root, what in _ROOTS.items():
        old, new = origin.roots.get(root), here.roots.get(root)
        if old and new and old != new:
            yield f"its {what} is {old}, and becomes {new}"
    if origin.node != here.node:
        yield (
            f"its node is named {origin.node}, and keeps this name: K3S_NODE_NAME is set instead"
            f" of the name {here.node}"
        )


def wanted(volumes: Iterable[PersistentVolume], found: Paths) -> tuple[str, ...]:
    """Return the paths of volumes on this host, for `judge`."""
    return tuple(dict.fromkeys(found.moved(one.path) for one in volumes if one.source))


def judge(
    volumes: Iterable[PersistentVolume],
    manifest: Manifest,
    found: Paths,
    existing: Mapping[str, bool],
    *,
    restored: bool,
) -> Volumes:
    """Judge the PersistentVolumes of a backup.

    `existing` are the paths on this host, by whether they exist; paths that cannot be seen are left
    out. `restored` is True if the volumes of the backup are restored.
    """
    moved, missing, others = [], [], []
    for one in volumes:
        if not one.source:
            continue
        path = found.moved(one.path)
        if path != one.path:
            moved.append(MovedVolume(one, path))
        if not _has_data(one, manifest, path, existing, restored=restored):
            missing.append(MovedVolume(one, path))
        if one.nodes and manifest.origin.node not in one.nodes:
            others.append(one)
    return Volumes(tuple(moved), tuple(missing), tuple(others))


def _has_data(
    one: PersistentVolume,
    manifest: Manifest,
    path: str,
    existing: Mapping[str, bool],
    *,
    restored: bool,
) -> bool:
    storage = manifest.origin.roots.get(Root.VOLUMES, "")
    inside = bool(storage) and one.path.startswith(f"{storage}/")
    if restored and manifest.volumes is not None and inside:
        # The directory of volumes is replaced as a whole.
        return one.path.removeprefix(f"{storage}/").split("/")[0] in manifest.volumes.names
    return existing.get(path, True)
