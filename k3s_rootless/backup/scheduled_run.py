"""The record of the last scheduled backup.

systemd forgets how a service ended when the user manager ends, which can be at each logout.
"""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.backup import record_file
from k3s_rootless.backup.records import Outcome, ScheduledRun
from k3s_rootless.json_fields import field, member, moment, parsing

SCHEMA = "k3s-rootless/scheduled-backup/v1"


def load(path: Path) -> ScheduledRun | None:
    """Return the record; None if no scheduled backup was begun. Raises RootlessError."""
    content = record_file.load(path)
    if content is None:
        return None
    with parsing(f"`{path}`"):
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
    record_file.save(path, content)
