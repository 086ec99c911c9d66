"""Write the content of a backup beside the paths that it will replace."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import beside, verify
from k3s_rootless.backup.facts import UNKNOWN, Entry, Expected, Manifest, Replaced, Slot, Switch
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.backup.volumes.members import Readable


@dataclass(frozen=True, slots=True)
class Staged:
    """What a restore or a rollback needs besides the archive.

    `within` unpacks and removes volumes. `contents` are prepared files that take the place of
    entries of the archive. `expected` is what K3s's settings must be afterwards. `copied` are paths
    that the change of the release by `switch` modifies.
    """

    within: InNamespace | None = None
    contents: Mapping[str, Path] = field(default_factory=dict)
    expected: Expected = UNKNOWN
    copied: tuple[Path, ...] = ()
    switch: Switch | None = None


NOTHING = Staged()


def mode(entry: str) -> int:
    """Return the mode of a restored file: everyone may read certificates, as K3s writes them."""
    return 0o644 if entry.endswith(".crt") else 0o600


def write(
    archive: Path,
    paths: tuple[Replaced, ...],
    slots: tuple[Slot, ...],
    judge: Callable[[Manifest], None],
    staged: Staged,
) -> None:
    """Write the new content of the paths, and sync it. Raises RootlessError."""
    with beside.reported("stage the backup"):
        for one in paths:
            for kind in (beside.NEW, beside.UNDONE):
                beside.clear(one, kind, staged.within)
    places = {name: _place(slot, name) for slot in slots for name in slot.names}
    original = {name: path for name, path in places.items() if name not in staged.contents}
    volumes = _volumes_target(slots, staged.within)
    verify.read(archive, lambda entry: _target(original, entry), judge, volumes)
    with beside.reported("stage the backup"):
        for name, source in staged.contents.items():
            _take(source, places[name])
        _sync(paths)


def _place(slot: Slot, name: str) -> Path:
    rest = name.removeprefix(slot.entry).lstrip("/")
    new = beside.of(slot.path, beside.NEW)
    return new / rest if rest else new


@contextmanager
def _target(places: dict[str, Path], entry: Entry) -> Iterator[IO[bytes] | None]:
    path = places.get(entry.name)
    if path is None:
        yield None
        return
    try:
        _make_private(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
            yield file
            atomic.finish(file, mode(entry.name))
            os.utime(file.fileno(), (entry.modified, entry.modified))
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise RootlessError(
            f"cannot unpack `{entry.name}` to `{path}`: {atomic.reason(error)}",
            hint=atomic.hint(error, path),
        ) from error


def _volumes_target(slots: tuple[Slot, ...], within: InNamespace | None) -> verify.VolumesTarget:
    path = next((one.path for one in slots if one.volumes), None)
    if path is None or within is None:
        return verify.check_volumes
    new = beside.of(path, beside.NEW)

    def unpack(_: Manifest, stream: Readable) -> None:
        with beside.reported("unpack the volumes"):
            _make_private(new.parent)
        within.unpack(stream, new)

    return unpack


def _take(source: Path, path: Path) -> None:
    """Write a copy of a prepared file, with its mode and time."""
    # Imported here, because only a restore needs it.
    import shutil

    _make_private(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reading, open(descriptor, "wb") as file:  # noqa: PTH123
        shutil.copyfileobj(reading, file, 2**20)
        found = os.fstat(reading.fileno())
        atomic.finish(file, found.st_mode & 0o777)
        os.utime(file.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))


def _make_private(directory: Path) -> None:
    """Create a directory and its missing parents with mode 0700."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700)


def _sync(paths: tuple[Replaced, ...]) -> None:
    for one in paths:
        new = beside.of(one.path, beside.NEW)
        if not one.new:
            continue
        if not one.volumes:  # they are synced already
            for directory, _, _ in os.walk(new):
                atomic.sync(Path(directory))
        atomic.sync(new.parent)
