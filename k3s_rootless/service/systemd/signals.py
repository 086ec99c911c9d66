"""Signals that a connection to the user manager received.

These are changes, jobs that ended, and the return of a manager to the bus.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from k3s_rootless.service.systemd.bus import Message

_SYSTEMD = "org.freedesktop.systemd1"


class Signals:
    """The signals received so far.

    `owned` is set when a manager returns to the bus; `jobs` maps each job that ended to its result.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._changed = False
        self.jobs: dict[str, str] = {}
        self.owned = asyncio.Event()
        self.owner_changes = 0

    def change(self) -> None:
        """Record a change, as each signal does."""
        self._changed = True
        self._event.set()

    def wake(self) -> None:
        """End `wait` without a change."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for a change, or for `wake`; return whether anything changed since the last call.

        `seconds` limits the wait.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
        changed, self._changed = self._changed, False
        return changed

    def note_change(self, message: Message) -> None:
        """Handle a signal about the watched unit."""
        if message.member == "PropertiesChanged":
            self.change()

    def note_job(self, message: Message) -> None:
        """Handle a signal about a job."""
        if message.member == "JobRemoved" and len(message.body) == 4:
            self.jobs[message.body[1]] = message.body[3]
            self.change()

    def note_owner(self, message: Message) -> None:
        """Handle a signal about the owner of systemd's name on the bus."""
        if (
            message.member == "NameOwnerChanged"
            and message.body[:1] == [_SYSTEMD]
            and message.body[2]
        ):
            self.owner_changes += 1
            self.owned.set()
            self.change()
