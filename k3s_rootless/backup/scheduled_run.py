"""The record of the last scheduled backup.

systemd forgets how a service ended when the user manager ends, which can be at each logout.
"""

from __future__ import annotations

import json
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.backup.records import Outcome, ScheduledRun
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import field, member, moment, parsing, typed

SCHEMA = "k3s-rootless/scheduled-backup/v1"
_LARGEST = 2**16


def load(path: Path) -> ScheduledRun | None:
    """Return the record; None if no scheduled backup was begun. Raises RootlessError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    with parsing(f"`{path}`"):
        content = typed(json.loads(data), dict)
        return ScheduledRun(
            member(content, "outcome", Outcome),
            moment(content, "begun"),
            field(content, "problem", str),
        )


def save(path: Path, run: ScheduledRun) -> None:
    """Write the record. Raises OSError."""
    content = {
        "schema": SCHEMA,
        "outcome": run.outcome.value,
        "begun": run.begun.isoformat(),
        "problem": run.problem,
    }
    atomic.make_directory(path.parent)
    atomic.sweep(path.parent, path.name.replace(".", r"\."))
    atomic.write(path, json.dumps(content, indent=1).encode("ascii"), 0o600)
