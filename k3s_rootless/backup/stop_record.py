"""The record of a command that has stopped K3s and is not finished.

It is written before K3s is stopped, and removed after K3s was started again. If the command is
killed between the two, the next command finds the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.backup.facts import StopRecord, Work
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import field, member, moment, optional, parsing, typed

SCHEMA = "k3s-rootless/stop-record/v1"
_LARGEST = 2**16


def load(path: Path) -> StopRecord | None:
    """Return the record; None if there is none. Raises RootlessError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    with parsing(f"`{path}`"):
        content = typed(json.loads(data), dict)
        return StopRecord(
            member(content, "command", Work),
            moment(content, "since"),
            field(content, "running", bool),
            _directory(optional(content, "data", str)),
            field(content, "moved", bool),
        )


def save(path: Path, record: StopRecord) -> None:
    """Write the record. Raises RootlessError."""
    content = {
        "schema": SCHEMA,
        "command": record.work.value,
        "since": record.since.isoformat(),
        "running": record.running,
        "data": None,
        "moved": record.moved,
    }
    if record.data is not None:
        content["data"] = str(record.data)
    with _reported("write", path):
        atomic.make_directory(path.parent)
        atomic.sweep(path.parent, path.name.replace(".", r"\."))
        atomic.write(path, json.dumps(content, indent=1).encode("ascii"), 0o600)


def remove(path: Path) -> None:
    """Remove the record, if there is one. Raises RootlessError."""
    with _reported("remove", path):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        atomic.sync(path.parent)


def _directory(text: str | None) -> Path | None:
    if text is None:
        return None
    return Path(text)


@contextmanager
def _reported(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RootlessError(
            f"cannot {action} `{path}`: {atomic.reason(error)}",
            hint=f"see how much space is left: df -h {path.parent}",
        ) from error
