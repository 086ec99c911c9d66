"""Read the files of the unit: the unit file and its drop-ins, ours and those of others."""

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
"""Bytes; systemd reads no unit file that is larger (fileio.c, READ_FULL_BYTES_MAX)."""


def read(path: Path) -> FoundFile:
    """Read one file; its `text` is None if there is no file.

    A link is followed, and named in the record. Raises RootlessError.
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

    Raises OSError, and RootlessError for what is no regular file.
    """
    # Without waiting: the file may be a pipe without a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        found = os.fstat(descriptor)
        # A link to /dev/null is how systemd masks a file.
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL:
            return b"", found
        if stat.S_ISDIR(found.st_mode):
            raise RootlessError(f"cannot read `{path}`: is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise RootlessError(f"cannot read `{path}`: it is no regular file")
        return file.read(_LARGEST + 1), found


def enabling_link(directory: Path, name: str) -> Path | None:
    """Return the link by which the unit of this directory starts with the user manager; None if
    there is none.
    """
    link = directory / "default.target.wants" / name
    try:
        target = link.parent / link.readlink()
    except OSError:
        return None
    if Path(os.path.normpath(target)) != directory / name:
        return None
    return link


def drop_ins(directory: Path, state: UnitState | None) -> tuple[FoundFile, ...]:
    """Read all drop-ins: those that systemd has read, in its order, then those in `directory` that
    it has not read yet.

    A file that cannot be read is returned with its `problem`. Raises RootlessError if `directory`
    cannot be listed.
    """
    paths: list[Path] = []
    if state is not None:
        paths += state.drop_ins
    paths += sorted(directory / name for name in names(directory) or () if name.endswith(".conf"))
    return tuple(map(or_problem, dict.fromkeys(paths)))


def names(directory: Path) -> frozenset[str] | None:
    """Return the names of what is in a directory; None if there is no directory.

    Raises RootlessError if it cannot be listed.
    """
    try:
        return frozenset(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(f"cannot look into `{directory}`: {atomic.reason(error)}") from error


def last_changed(directory: Path, state: UnitState) -> datetime | None:
    """Return when the unit or a drop-in was last written, added or removed, as far as files show;
    None without any.

    `directory` is that of the user's own drop-ins; its time changes if a drop-in is removed.
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
    """Read one file; a file that cannot be read is returned with its `problem`."""
    try:
        return read(path)
    except RootlessError as error:
        return FoundFile(path, None, problem=error.message)


def release_of(fragment: Path | None) -> Version | None:
    """Return the release that a unit file says it was written for; None if it says none."""
    if fragment is None:
        return None
    found = or_problem(fragment).text or ""
    return version.parse(text.written_for(found) or "")
