"""The record of a transaction that is not finished: a restore, an upgrade or a rollback.

While the record exists, no command and no drop-in starts K3s with half of a change.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from dataclasses import replace as changed
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from k3s_rootless import atomic
from k3s_rootless.backup.facts import Expected, Kind, Phase, Record, Replaced, Switch
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import InvalidField, each, field, optional, parsing, typed

SCHEMA = "k3s-rootless/transaction/v1"
_LARGEST = 2**20
_Choice = TypeVar("_Choice", bound=Enum)


def load(path: Path) -> Record | None:
    """Return the record of an unfinished transaction; None if there is none.

    Raises RootlessError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    with parsing(f"`{path}`"):
        content = typed(json.loads(data), dict)
        return Record(
            phase=_choice(content, "phase", Phase),
            archive=_path(content, "archive"),
            paths=each(content, "paths", _replaced),
            running=field(content, "running", bool),
            kind=_choice(content, "kind", Kind),
            switch=_switch(optional(content, "switch", dict)),
            stopped=_time(optional(content, "stopped", str)),
            failed=_path(content, "failed"),
            expected=_expected(field(content, "expected", dict)),
        )


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
        "paths": [asdict(one) | {"path": str(one.path)} for one in record.paths],
    }
    atomic.make_directory(file.parent)
    atomic.sweep(file.parent, file.name.replace(".", r"\."))
    data = json.dumps(content, indent=1).encode("ascii")
    atomic.write(file, data, 0o600)


def advance(file: Path, record: Record, phase: Phase) -> Record:
    """Return the record in a phase, and write it if the phase changes. Raises OSError."""
    if record.phase is phase:
        return record
    advanced = changed(record, phase=phase)
    save(file, advanced)
    return advanced


def remove(file: Path) -> None:
    """Remove the record, which ends the transaction. Raises OSError."""
    file.unlink(missing_ok=True)
    atomic.sync(file.parent)


def _path(content: dict[str, Any], key: str) -> Path | None:
    text = optional(content, key, str)
    if text is None:
        return None
    return Path(text)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text)


def _choice(content: dict[str, Any], key: str, kind: type[_Choice]) -> _Choice:
    try:
        return kind(field(content, key, str))
    except ValueError:
        raise InvalidField("is unknown", key) from None


def _replaced(value: Any) -> Replaced:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    return Replaced(
        Path(field(content, "path", str)),
        field(content, "new", bool),
        field(content, "old", bool),
        field(content, "copied", bool),
        field(content, "volumes", bool),
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
