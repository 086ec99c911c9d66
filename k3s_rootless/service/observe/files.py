"""Reads the files of the unit: the unit file and its drop-ins, ours and those of others."""

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
    """Read one file; its `text` is None where there is none.

    A link is followed, and told of. Raises RootlessError.
    """
    target = ""
    try:
        target = str(path.readlink()) if path.is_symlink() else ""
        # Without waiting: what lies there may be a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor, no path)
            found = os.fstat(descriptor)
            # A link to /dev/null is how systemd lets a file count for nothing.
            masked = stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL
            if not stat.S_ISREG(found.st_mode) and not masked:
                kind = "is a directory" if stat.S_ISDIR(found.st_mode) else "it is no regular file"
                raise RootlessError(f"cannot read `{path}`: {kind}")
            data = b"" if masked else file.read(_LARGEST + 1)
    except FileNotFoundError:
        return FoundFile(path, None, link=bool(target), target=target)
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    if len(data) > _LARGEST:
        raise RootlessError(f"cannot read `{path}`: it is larger than {_LARGEST >> 20} MiB")
    written = datetime.fromtimestamp(found.st_mtime, UTC)
    text, mode = data.decode("utf-8", "surrogateescape"), stat.S_IMODE(found.st_mode)
    return FoundFile(path, text, written, mode, link=bool(target), target=target)


def enabling_link(directory: Path, name: str) -> Path | None:
    """Give the link by which the unit of this directory starts with the user manager; None where
    there is none.
    """
    link = directory / "default.target.wants" / name
    try:
        target = link.parent / link.readlink()
    except OSError:
        return None
    return link if Path(os.path.normpath(target)) == directory / name else None


def drop_ins(directory: Path, state: UnitState | None) -> tuple[FoundFile, ...]:
    """Read all drop-ins: those that systemd has read, in its order, then those in `directory` that
    it has not read yet.

    One that cannot be read is there all the same, with its `problem`. Raises RootlessError where
    `directory` cannot be listed.
    """
    present = sorted(directory / name for name in names(directory) or () if name.endswith(".conf"))
    return tuple(map(or_problem, dict.fromkeys((*(state.drop_ins if state else ()), *present))))


def names(directory: Path) -> frozenset[str] | None:
    """Give what lies in a directory; None where there is none.

    Raises RootlessError where it cannot be looked into.
    """
    try:
        return frozenset(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(f"cannot look into `{directory}`: {atomic.reason(error)}") from error


def last_changed(directory: Path, state: UnitState) -> datetime | None:
    """Give the time when the unit or a drop-in was last written, added or removed, as far as files
    tell; None without any.

    `directory` is that of the user's own drop-ins; its time tells of one that is gone.
    """
    times = []
    fragment = (state.fragment,) if state.fragment is not None else ()
    for path in (*fragment, directory, *directory.glob("*.conf"), *state.drop_ins):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None


def or_problem(path: Path) -> FoundFile:
    """Read one file; one that cannot be read is there all the same, with its `problem`."""
    try:
        return read(path)
    except RootlessError as error:
        return FoundFile(path, None, problem=error.message)


def release_of(fragment: Path | None) -> Version | None:
    """Return the release that a unit file says it was written for; None if it says none."""
    try:
        found = read(fragment).text if fragment else None
    except RootlessError:
        return None
    return version.parse(text.written_for(found) or "") if found else None
