"""What a connection to the user manager has heard: changes, jobs that ended, and a manager that
came back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from k3s_rootless.service.systemd.bus import Message

_SYSTEMD = "org.freedesktop.systemd1"


class Signals:
    """The signals so far; `owned` is set by a manager that came back, `jobs` maps a job to its
    result.
    """

    def __init__(self) -> None:
        self._stirred = asyncio.Event()
        self._changed = False
        self.jobs: dict[str, str] = {}
        self.owned = asyncio.Event()
        self.owner_changes = 0

    def change(self) -> None:
        """Note that something changed, as each signal does."""
        self._changed = True
        self._stirred.set()

    def wake(self) -> None:
        """End `wait`, though nothing changed."""
        self._stirred.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until something changed, or for `wake`; tell whether anything has since the last
        time.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), seconds)
        self._stirred.clear()
        changed, self._changed = self._changed, False
        return changed

    def note_change(self, message: Message) -> None:
        """Take in a signal about the watched unit."""
        if message.member == "PropertiesChanged":
            self.change()

    def note_job(self, message: Message) -> None:
        """Take in a signal about a job."""
        if message.member == "JobRemoved" and len(message.body) == 4:
            self.jobs[message.body[1]] = message.body[3]
            self.change()

    def note_owner(self, message: Message) -> None:
        """Take in a signal about who owns systemd's name on the bus."""
        if (
            message.member == "NameOwnerChanged"
            and message.body[:1] == [_SYSTEMD]
            and message.body[2]
        ):
            self.owner_changes += 1
            self.owned.set()
            self.change()
