"""Reader of the files of the unit: the unit file, and all its drop-ins.

The drop-ins include those that k3s-rootless did not write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless import atomic, unit_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import UNIT
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


def on_disk(units: Path, home: Path) -> UnitState:
    """Return the unit of K3s as its files in `units` describe it, for use without a user manager.

    Whether it runs is not known: its active state is empty. Only the command, the environment and
    their files are read; `%h` is the only specifier that is resolved.
    """
    # Imported here: with a user manager, systemd has parsed the files.
    from k3s_rootless.service.environment import assignments

    fragment = units / UNIT
    text = or_problem(fragment).text
    if text is None:
        return UnitState(UNIT, "not-found", "", "")
    drop_ins = sorted((units / f"{UNIT}.d").glob("*.conf"))
    texts = [text, *(or_problem(path).text or "" for path in drop_ins)]
    texts = [one.replace("%h", str(home)) for one in texts]
    commands = [line for one in texts for line in unit_file.values(one, "ExecStart")]
    environment: dict[str, str] = {}
    for assigned in (line for one in texts for line in assignments.of_unit(one)):
        if assigned is None:
            environment.clear()
            continue
        environment |= {name: value for name, value in assigned.items() if value is not None}
    argv = unit_file.words(commands[-1]) if commands else None
    return UnitState(
        UNIT,
        "loaded",
        "",
        "",
        fragment=fragment,
        drop_ins=tuple(drop_ins),
        argv=tuple(argv or ()),
        environment=environment,
    )


def unread_limits(
    units: Path, state: UnitState, names: Iterable[str]
) -> dict[str, tuple[Observed[int | None], str]]:
    """Return the limits that systemd will read from changed files before the next start.

    `names` are limits that `limits.assigned` reads, and `units` has the user's own units. Each
    limit has its value, and the last file that sets or resets it. The result is empty if systemd
    has read all files.
    """
    texts = _texts_if_unread(units, state)
    if not texts:
        return {}
    # Imported here: usually, systemd has read all files.
    from k3s_rootless.service.drop_ins import limits

    found: dict[str, tuple[Observed[int | None], str]] = {}
    for name in names:
        setting = [path for path, text in texts.items() if [*unit_file.values(text, name)]]
        file = setting[-1] if setting else ""
        try:
            value: Observed[int | None] = Known(limits.assigned(name, texts.values()), file)
        except ValueError as error:
            value = Unknown(str(error))
        if value != Known(state.limits.get(name), file):
            found[name] = (value, file)
    return found


def _texts_if_unread(units: Path, state: UnitState) -> dict[str, str]:
    """Return the texts of the unit's files by their paths; empty if systemd has read all.

    systemd sorts drop-ins by name, and those of the user replace others of the same name
    (systemd.unit(5)).
    """
    read = {path.name: path for path in state.drop_ins}
    present = read | {path.name: path for path in (units / f"{state.name}.d").glob("*.conf")}
    if not state.needs_reload and present.keys() == read.keys():
        return {}
    paths = [present[name] for name in sorted(present)]
    if state.fragment is not None:
        paths.insert(0, state.fragment)
    return {str(path): or_problem(path).text or "" for path in paths}


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
