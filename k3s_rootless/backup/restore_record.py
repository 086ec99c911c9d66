"""The record of a restore that is not finished: its JSON form, written and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from k3s_rootless import atomic
from k3s_rootless.backup.facts import Expected, Phase, Record, Replaced
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import InvalidField, each, field, optional, parsing, typed

SCHEMA = "k3s-rootless/restore-record/v1"
_LARGEST = 2**20


def load(path: Path) -> Record | None:
    """Return the record of an unfinished restore; None if there is none. Raises RootlessError."""
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
            _phase(field(content, "phase", str)),
            Path(field(content, "archive", str)),
            each(content, "paths", _replaced),
            field(content, "running", bool),
            _expected(content),
        )


def save(file: Path, record: Record) -> None:
    """Write the record. Raises OSError."""
    content = {
        "schema": SCHEMA,
        "phase": record.phase.value,
        "archive": str(record.archive),
        "running": record.running,
        "expected": {"data": record.expected.data, "node": record.expected.node},
        "paths": [_replaced_json(one) for one in record.paths],
    }
    atomic.make_directory(file.parent)
    atomic.sweep(file.parent, file.name.replace(".", r"\."))
    data = json.dumps(content, indent=1).encode("ascii")
    atomic.write(file, data, 0o600)


def _replaced_json(one: Replaced) -> dict[str, Any]:
    found = {"path": str(one.path), "new": one.new, "old": one.old}
    return {**found, "volumes": one.volumes}


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise InvalidField("is unknown", "phase") from None


def _replaced(value: Any) -> Replaced:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    return Replaced(
        Path(field(content, "path", str)),
        field(content, "new", bool),
        field(content, "old", bool),
        optional(content, "volumes", bool) or False,
    )


def _expected(content: dict[str, Any]) -> Expected:
    found = optional(content, "expected", dict) or {}
    return Expected(optional(found, "data", str) or "", optional(found, "node", str) or "")
