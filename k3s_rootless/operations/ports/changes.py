"""The difference between two checks of the ports, and the rows that a table marks temporarily."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.ports.facts import Exposure

MARKED_SECONDS = 5.0
"""The time in seconds during which a table marks a change or shows a removed row."""
Key = tuple[object, ...]


class What(Enum):
    """The kind of change of a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was added, removed or changed; for a removed row, the last state.

    `before` is None unless the row changed.
    """

    what: What
    row: Exposure
    before: Exposure | None = None

    @property
    def is_visible(self) -> bool:
        """Whether the change is visible in the line or the table; they omit some data of a row."""
        return self.before is None or _visible(self.before) != _visible(self.row)


def by_key(rows: Iterable[Exposure]) -> dict[Key, Exposure]:
    """Return the rows by the key that identifies each row in the next check."""
    return {key_of(row): row for row in rows}


def key_of(row: Exposure) -> Key:
    """Return the key that identifies a row in the next check."""
    return (
        row.proto,
        row.parent_ip,
        row.parent_port,
        row.child_port,
        row.kind,
        row.namespace,
        row.service,
        row.port_name,
    )


def compared(before: Mapping[Key, Exposure], now: Mapping[Key, Exposure]) -> tuple[Change, ...]:
    """Return the changes: removed rows first, then the others, in the order of the rows."""
    found = [Change(What.REMOVED, row) for key, row in before.items() if key not in now]
    for key, row in now.items():
        if key not in before:
            found.append(Change(What.ADDED, row))
        elif before[key] != row:
            found.append(Change(What.CHANGED, row, before[key]))
    return tuple(found)


class Marks:
    """The changes of the last `MARKED_SECONDS`; times are those of a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}
        self._changes: dict[Key, Change] = {}

    def add(self, changes: Iterable[Change], now: float) -> None:
        """Mark the rows with visible changes."""
        for change in changes:
            if change.is_visible:
                key = key_of(change.row)
                self._until[key] = now + MARKED_SECONDS
                self._changes[key] = change

    def expire(self, now: float) -> bool:
        """Remove expired marks; return whether there were any."""
        over = [key for key, until in self._until.items() if until <= now]
        for key in over:
            del self._until[key], self._changes[key]
        return bool(over)

    def table(self, rows: Sequence[Exposure]) -> tuple[tuple[What | None, Exposure], ...]:
        """Return the rows with their marks, including rows that were removed recently."""
        here = by_key(rows)
        found = [(self._mark(key), row) for key, row in here.items()]
        for key, change in self._changes.items():
            if key not in here:
                found.append((What.REMOVED, change.row))
        found.sort(key=lambda one: (one[1].proto, one[1].parent_port, one[1].target))
        return tuple(found)

    def _mark(self, key: Key) -> What | None:
        if key not in self._changes:
            return None
        return self._changes[key].what


def _visible(row: Exposure) -> tuple[object, ...]:
    return (
        bool(row.forwarded),
        row.is_never_forwarded,
        row.offset,
        row.status,
        row.reason,
        row.is_reachable and row.url,
    )
