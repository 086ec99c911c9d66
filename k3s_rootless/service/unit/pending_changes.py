"""State of the unit in relation to its files: authors, and pending changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit.seal import Author

if TYPE_CHECKING:
    from pathlib import Path

CLOCK_GRAIN = timedelta(seconds=1)
"""Tolerance of the comparison of times.

File systems and systemd round times differently; a start within the same second counts as a start
after the write.
"""
_RELOAD = "systemctl --user daemon-reload"
_RESTART = "k3s-rootless restart"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the unit: the unit file or a drop-in, its time and its author.

    `problem` is the reason if the file could not be read.
    """

    path: Path
    written: datetime | None
    author: Author | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A configured change that is not in effect.

    `what` is the action that it requires (`reload`, `restart`); `cause` is the reason, and
    `command` the command for this action.
    """

    what: str
    cause: str
    command: str


def outdated(started: datetime | None, written: datetime | None) -> bool:
    """Return whether a start at `started` is older than a file written at `written`."""
    return started is not None and written is not None and started + CLOCK_GRAIN < written


def pending(
    state: UnitState, parts: Sequence[Part], variables: Sequence[str] = ()
) -> tuple[Pending, ...]:
    """Return the pending changes, in the order in which to apply them.

    `variables` are the variables that changed since K3s was started.
    """
    found = []
    if state.needs_reload:
        found.append(Pending("reload", "the unit changed after systemd read it", _RELOAD))
    if not state.running:
        return tuple(found)
    if variables:
        found.append(Pending("restart", changed_since(variables), _RESTART))
    if state.needs_reload:
        found.append(Pending("restart", "the running K3s was started before that change", _RESTART))
    else:
        newer = [part for part in parts if outdated(state.started, part.written)]
        found += [Pending("restart", started_before(part.path), _RESTART) for part in newer]
    return tuple(found)


def started_before(path: Path) -> str:
    """Return the cause of a restart for a file that is newer than the running K3s."""
    return f"the running K3s was started before `{path}` was written"


def changed_since(variables: Sequence[str]) -> str:
    """Return the cause of a restart for variables that changed."""
    return f"{', '.join(variables)} changed after K3s was started"


def drift(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return a sentence for each file that is not as k3s-rootless wrote it."""
    return tuple(
        f"`{part.path}` was {part.author.value}"
        for part in parts
        if part.author not in {None, Author.OURS}
    )


def unchanged(binary: datetime | None, parts: Sequence[Part]) -> bool:
    """Return whether the k3s binary is older than a unit file that k3s-rootless wrote.

    The unit was then written for this binary. An edited unit file does not count.
    """
    if not parts or binary is None or parts[0].author is not Author.OURS:
        return False
    return parts[0].written is not None and binary + CLOCK_GRAIN < parts[0].written
