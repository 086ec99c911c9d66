"""The record of a transaction that is not finished, such as a restore, an upgrade or a reset.

While the record exists, no command and no drop-in starts K3s with half of a change.
"""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import replace as changed
from datetime import datetime
from pathlib import Path
from typing import Any

from k3s_rootless import atomic, trust
from k3s_rootless.backup import names, record_file
from k3s_rootless.backup.facts import Expected, Kind, Phase, Record, Replaced, Switch
from k3s_rootless.errors import PreflightFailed, RootlessError
from k3s_rootless.json_fields import each, field, member, moment, optional, parsing, typed
from k3s_rootless.k3s import layout

SCHEMA = "k3s-rootless/transaction/v1"
_TREES = (*names.TREES, layout.ETCD, layout.IMAGES)
"""The directories that a transaction replaces as a whole, besides that of volumes."""


def load(path: Path) -> Record | None:
    """Return the record of an unfinished transaction; None if there is none.

    Raises PreflightFailed if another user could have written it, or could change a path that it
    names, RootlessError.
    """
    content = record_file.load(path)
    if content is None:
        return None
    with parsing(f"`{path}`"):
        record = Record(
            phase=member(content, "phase", Phase),
            archive=_path(content, "archive"),
            paths=each(content, "paths", _replaced),
            running=field(content, "running", bool),
            kind=member(content, "kind", Kind),
            switch=_switch(optional(content, "switch", dict)),
            stopped=_time(content, "stopped"),
            failed=_path(content, "failed"),
            expected=_expected(field(content, "expected", dict)),
            data=_path(content, "data"),
        )
    for one in record.paths:
        _require_replaceable(path, one)
    above = {one.path.parent for one in record.paths}
    for directory in sorted(above):
        _require_trusted(path, directory)
    if record.failed is not None and record.failed.parent not in above:
        raise _refusal(path, record.failed, "no path of this record is beside it")
    return record


def save(file: Path, record: Record) -> None:
    """Write the record. Raises OSError."""
    content = {
        "schema": SCHEMA,
        "phase": record.phase.value,
        "kind": record.kind.value,
        "archive": record.archive and str(record.archive),
        "running": record.running,
        "switch": record.switch and asdict(record.switch),
        "stopped": record.stopped and record.stopped.isoformat(),
        "failed": record.failed and str(record.failed),
        "expected": asdict(record.expected),
        "data": record.data and str(record.data),
        "paths": [asdict(one) | {"path": str(one.path)} for one in record.paths],
    }
    record_file.save(file, content)


def advance(file: Path, record: Record, phase: Phase) -> Record:
    """Return the record in a phase, and write it if the phase changes. Raises OSError."""
    if record.phase is phase:
        return record
    advanced = changed(record, phase=phase)
    save(file, advanced)
    return advanced


def remove(file: Path) -> None:
    """Remove the record, which ends the transaction. Raises OSError."""
    atomic.remove(file)


def _require_replaceable(file: Path, one: Replaced) -> None:
    """Raise an error for a path that no command replaces."""
    if not one.path.is_absolute() or ".." in one.path.parts:
        raise _refusal(file, one.path, "it is not an absolute path")
    is_tree = one.volumes or any(one.path.match(name) for name in _TREES)
    if one.path.is_dir() and not is_tree:
        raise _refusal(file, one.path, "no command of k3s-rootless replaces this directory")


def _require_trusted(file: Path, directory: Path) -> None:
    """Raise an error for a directory, which may be missing, that another user could change."""
    existing = next(one for one in (directory, *directory.parents) if one.exists())
    risk = trust.risk(existing)
    if risk:
        raise PreflightFailed(f"cannot use `{directory}`, which `{file}` names: {risk}")


def _refusal(file: Path, path: Path, why: str) -> RootlessError:
    return RootlessError(
        f"cannot use `{file}`: it names `{path}`, and {why}",
        hint="the file was changed by another program; look at it, then move it away",
    )


def _path(content: dict[str, Any], key: str) -> Path | None:
    text = optional(content, key, str)
    if text is None:
        return None
    return Path(text)


def _time(content: dict[str, Any], key: str) -> datetime | None:
    if optional(content, key, str) is None:
        return None
    return moment(content, key)


def _replaced(value: Any) -> Replaced:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    return Replaced(
        Path(field(content, "path", str)),
        field(content, "new", bool),
        field(content, "old", bool),
        field(content, "copied", bool),
        field(content, "volumes", bool),
        optional(content, "snapshot", bool) or False,
    )


def _expected(content: dict[str, Any]) -> Expected:
    return Expected(field(content, "data", str), field(content, "node", str))


def _switch(content: dict[str, Any] | None) -> Switch | None:
    if content is None:
        return None
    return Switch(
        field(content, "before", str),
        field(content, "after", str),
        optional(content, "linked", str),
        optional(content, "previous", str),
    )
