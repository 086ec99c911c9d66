"""Move the PersistentVolumes in the datastore of a backup, and require data for each one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import contents, datastores, moving, objects, persistent_volumes
from k3s_rootless.backup.facts import Backup, Datastore
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.moving import MovedVolume, Paths
    from k3s_rootless.backup.persistent_volumes import PersistentVolume

_UNSEEN = ("/etc/", "/run/", "/var/")
"""K3s has directories of its own in these places (rootlesskit's copy-up)."""
_MOST_SHOWN = 20
_ALL = "/registry/"


@dataclass(frozen=True, slots=True)
class Moved:
    """The result: what changed, what to know, and whether the datastore changed."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    changed: bool


def move(folder: Path, backup: Backup, paths: Paths, *, volumes: bool) -> Moved:
    """Replace the paths of PersistentVolumes in a copy of the datastore in `folder`.

    The files of etcd are only read, so that its PersistentVolumes must keep their paths. `volumes`
    is True if the volumes of the backup are restored, and if each PersistentVolume must
    have data here. Raises RootlessError, also for the PersistentVolumes without data.
    """
    kind = backup.manifest.datastore
    stored = datastores.below(folder, kind, persistent_volumes.PREFIX)
    values = {row: value for row, _, value in stored}
    found, warnings = _readable(backup, stored, must_change=bool(paths.pairs))
    restored = volumes and backup.manifest.volumes is not None
    existing = dict(_existing(moving.wanted(found, paths)))
    verdict = moving.judge(found, backup.manifest, paths, existing, restored=restored)
    if verdict.missing and volumes:
        raise _without_data(backup, verdict.missing)
    if verdict.missing:
        warnings.append(_list(verdict.missing))
    warnings += [
        f"the PersistentVolume {one.name} belongs to the node {', '.join(one.nodes)}"
        for one in verdict.of_other_nodes
    ]
    if paths.pairs:
        warnings += _other_objects(datastores.below(folder, kind, _ALL), paths)
    if kind is Datastore.SQLITE:
        _change(folder / contents.SQLITE, backup, verdict.moved, values)
    elif verdict.moved:
        raise _immovable(backup, verdict.moved)
    lines = (
        f"the PersistentVolume {_shown(one)} instead of {one.volume.path}" for one in verdict.moved
    )
    return Moved(tuple(lines), tuple(warnings), changed=bool(verdict.moved))


def _readable(
    backup: Backup, stored: tuple[tuple[int, str, bytes], ...], *, must_change: bool
) -> tuple[list[PersistentVolume], list[str]]:
    """Return the volumes, and warnings about those that cannot be read."""
    found, warnings = [], []
    for row, key, value in stored:
        try:
            found.append(persistent_volumes.read(row, key, value))
        except ValueError as error:
            if must_change:
                raise _refusal(backup, f"{error}; its path cannot be adapted") from None
            warnings.append(str(error))
    return found, warnings


def _change(
    database: Path, backup: Backup, moved: tuple[MovedVolume, ...], values: dict[int, bytes]
) -> None:
    if not moved:
        return
    try:
        changed = {
            one.volume.row: persistent_volumes.moved(one.volume, values[one.volume.row], one.path)
            for one in moved
        }
    except ValueError as error:
        raise _refusal(backup, str(error)) from None
    objects.change(database, changed)
    database.chmod(0o600)


def _other_objects(stored: Iterable[tuple[int, str, bytes]], paths: Paths) -> Iterator[str]:
    keys = objects.containing(stored, (old for old, _ in paths.pairs))
    shown = [key.removeprefix("/registry/") for key in keys[:_MOST_SHOWN]]
    if len(keys) > len(shown):
        shown.append(f"and {len(keys) - len(shown)} more")
    if shown:
        yield (
            f"these objects contain paths of the backup, which are not changed: {', '.join(shown)}"
        )


def _existing(paths: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    for path in paths:
        if path.startswith(_UNSEEN):
            continue
        try:
            Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            yield path, False
        except (OSError, ValueError):
            continue
        else:
            yield path, True


def _immovable(backup: Backup, moved: tuple[MovedVolume, ...]) -> RootlessError:
    return _refusal(
        backup,
        "these PersistentVolumes have other paths here, and only those in SQLite can be changed:"
        f"{_listed(moved)}",
        hint="restore it for the same user, into the same data directory",
    )


def _without_data(backup: Backup, missing: tuple[MovedVolume, ...]) -> RootlessError:
    return _refusal(
        backup,
        _list(missing),
        hint=(
            "create the backup with --volumes, or copy these directories to this host first; to"
            f" restore without their data: k3s-rootless backup restore --no-volumes {backup.path}"
        ),
    )


def _list(missing: tuple[MovedVolume, ...]) -> str:
    return (
        "these PersistentVolumes have no data, neither in the backup nor on this host:"
        f"{_listed(missing)}"
    )


def _listed(volumes: tuple[MovedVolume, ...]) -> str:
    shown = [f"\n  {_shown(one)}" for one in volumes[:_MOST_SHOWN]]
    if len(volumes) > len(shown):
        shown.append(f"\n  and {len(volumes) - len(shown)} more")
    return "".join(shown)


def _refusal(backup: Backup, why: str, hint: str | None = None) -> RootlessError:
    return RootlessError(f"cannot restore `{backup.path}`: {why}", hint=hint)


def _shown(one: MovedVolume) -> str:
    name = one.volume.name
    if one.volume.claim:
        name = f"{name} (claim {one.volume.claim})"
    return f"{name}: {one.path}"
