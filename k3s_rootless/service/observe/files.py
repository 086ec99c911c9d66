"""Reader of the files of the unit: the unit file, and all its drop-ins.

The drop-ins include those that k3s-rootless did not write.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.k3s.version import Version
from k3s_rootless.service.facts import FoundFile, UnitState
from k3s_rootless.service.unit import text

_NULL = os.makedev(1, 3)
_LARGEST = 4 * 2**20
"""Bytes; systemd reads no larger unit file (fileio.c, READ_FULL_BYTES_MAX)."""


def read(path: Path) -> FoundFile:
    """Read one file; `text` is None if the file does not exist.

    A link is followed, and its target is recorded. Raises RootlessError.
    """
    target = ""
    try:
        if path.is_symlink():
            target = str(path.readlink())
        data, found = _content(path)
    except FileNotFoundError:
        return FoundFile(path, None, link=bool(target), target=target)
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    if len(data) > _LARGEST:
        raise RootlessError(f"cannot read `{path}`: it is larger than {_LARGEST >> 20} MiB")
    return FoundFile(
        path,
        data.decode("utf-8", "surrogateescape"),
        datetime.fromtimestamp(found.st_mtime, UTC),
        stat.S_IMODE(found.st_mode),
        link=bool(target),
        target=target,
    )


def _content(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a file, and its status.

    Raises OSError, and RootlessError if it is not a regular file.
    """
    # O_NONBLOCK, because the file may be a pipe without a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        found = os.fstat(descriptor)
        # systemd masks a file with a link to /dev/null.
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL:
            return b"", found
        if stat.S_ISDIR(found.st_mode):
            raise RootlessError(f"cannot read `{path}`: it is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise RootlessError(f"cannot read `{path}`: it is not a regular file")
        return file.read(_LARGEST + 1), found


def enabling_link(directory: Path, name: str, wants: str = "default.target.wants") -> Path | None:
    """Return the link that starts the unit of this directory with the user manager.

    `wants` is the directory of the link. Returns None if there is no such link.
    """
    link = directory / wants / name
    try:
        target = link.parent / link.readlink()
    except OSError:
        return None
    if Path(os.path.normpath(target)) != directory / name:
        return None
    return link


def drop_ins(directory: Path, state: UnitState | None) -> tuple[FoundFile, ...]:
    """Read all drop-ins: those that systemd has read, then the others in `directory`.

    The first part is in the order of systemd. A file that cannot be read is returned with its
    `problem`. Raises RootlessError if `directory` cannot be listed.
    """
    paths: list[Path] = []
    if state is not None:
        paths += state.drop_ins
    paths += sorted(directory / name for name in names(directory) or () if name.endswith(".conf"))
    return tuple(map(or_problem, dict.fromkeys(paths)))


def names(directory: Path) -> frozenset[str] | None:
    """Return the names of the entries of a directory; None if it does not exist.

    Raises RootlessError if the directory cannot be listed.
    """
    try:
        return frozenset(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(f"cannot list `{directory}`: {atomic.reason(error)}") from error


def last_changed(directory: Path, state: UnitState) -> datetime | None:
    """Return when the unit or a drop-in was last written, added or removed.

    The source is the mtime of the files; None if there are no files. `directory` contains the
    drop-ins of the user; its mtime changes if a drop-in is removed.
    """
    paths = [directory, *directory.glob("*.conf"), *state.drop_ins]
    if state.fragment is not None:
        paths.append(state.fragment)
    times = []
    for path in paths:
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    if not times:
        return None
    return datetime.fromtimestamp(max(times), UTC)


def or_problem(path: Path) -> FoundFile:
    """Read one file; if it cannot be read, return it with its `problem`."""
    try:
        return read(path)
    except RootlessError as error:
        return FoundFile(path, None, problem=error.message)


def release_of(fragment: Path | None) -> Version | None:
    """Return the K3s release for which a unit file was written; None if it names none."""
    if fragment is None:
        return None
    found = or_problem(fragment).text or ""
    return version.parse(text.written_for(found) or "")
