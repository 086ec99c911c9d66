"""The event that every operation sends, and the type of its listener.

Events of a start are in `launch.events`: this module is loaded by every command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from k3s_rootless.operations.launch import events
    from k3s_rootless.operations.releases import events as downloads


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the user about the current action."""

    text: str


Event = Union[
    Notice,
    "events.ChecksFailed",
    "events.StepBegins",
    "events.StartAhead",
    "events.Waiting",
    "events.Logged",
    "events.PhaseReached",
    "events.Died",
    "events.WaitOver",
    "downloads.Arriving",
    "downloads.Arrived",
]
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore an event, for callers that need only the result."""
    del event
