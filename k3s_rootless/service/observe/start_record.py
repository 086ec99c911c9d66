"""Record of the files of the unit with which the running K3s was started.

systemd shows the unit as it is loaded now, and K3s overwrites its own command line (its
pkg/proctitle). The times of the files show that a file changed after the start, but not that a
later change reverted it. The first change to a drop-in of k3s-rootless while K3s runs therefore
writes a hash of all files of the unit to the runtime directory. Without this record, the times of
the files count.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.observe import files

_LONGEST = 4096


def text(state: UnitState) -> str | None:
    """Return a new record of the running K3s.

    Returns None if K3s does not run, if systemd has not read the current files, or if a file cannot
    be read.
    """
    if not state.running or not state.invocation or state.needs_reload:
        return None
    found = _files(state)
    if found is None:
        return None
    return f"{state.invocation} {found}\n"


def is_of_this_start(record: Path, state: UnitState) -> bool:
    """Return whether the record belongs to the running K3s."""
    return bool(state.invocation) and _read(record)[:1] == [state.invocation]


def is_as_started(record: Path, state: UnitState) -> bool:
    """Return whether the running K3s was started with the current files of the unit."""
    if not state.running or state.needs_reload or not is_of_this_start(record, state):
        return False
    return _read(record)[1:] == [_files(state)]


def _read(record: Path) -> list[str]:
    with suppress(OSError), record.open("rb") as file:
        return file.read(_LONGEST).decode("ascii", "replace").split()
    return []


def _files(state: UnitState) -> str | None:
    """Return a hash of the paths and texts of the unit files; None if one cannot be read."""
    paths = list(state.drop_ins)
    if state.fragment is not None:
        paths.insert(0, state.fragment)
    found = [files.or_problem(path) for path in paths]
    if any(one.text is None for one in found):
        return None
    # Imported here because hashlib loads OpenSSL, and most callers find no record.
    import hashlib

    whole = "".join(f"{one.path}\0{one.text}\0" for one in found)
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
