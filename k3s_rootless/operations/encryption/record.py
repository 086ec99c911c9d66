"""The record of a change of the encryption that is not finished.

K3s keeps the stage of new keys itself, but not that Secrets must be encrypted again after it was
enabled or disabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from k3s_rootless.backup import record_file
from k3s_rootless.json_fields import field, member, parsing

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = "k3s-rootless/encryption-change/v1"


class Goal(Enum):
    """What a command changes; the value is the name of the command."""

    ENABLE = "enable"
    DISABLE = "disable"
    ROTATE = "rotate-keys"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that has begun; `first` is true if K3s had no keys before."""

    goal: Goal
    first: bool


def load(path: Path) -> Change | None:
    """Return the change that is not finished, or None. Raises RootlessError."""
    content = record_file.load(path)
    if content is None:
        return None
    with parsing(f"`{path}`"):
        return Change(member(content, "goal", Goal), field(content, "first", bool))


def begin(path: Path, change: Change) -> None:
    """Write the record. Raises RootlessError."""
    content = {"schema": _SCHEMA, "goal": change.goal.value, "first": change.first}
    record_file.write(path, content)


def end(path: Path) -> None:
    """Remove the record. Raises RootlessError."""
    record_file.remove(path)
