"""What a connection to the user manager has heard: changes, jobs that ended, and a manager that came back."""

from __future__ import annotations

import asyncio

from k3s_rootless.service import bus as wire

_SYSTEMD = "org.freedesktop.systemd1"


class Signals:
    """The signals so far; `changed` is set by each, `owned` by a manager that came back, `jobs` maps a job to its result."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.jobs: dict[str, str] = {}
        self.owned = asyncio.Event()
        self.owner_changes = 0

    def note_change(self, message: wire.Message) -> None:
        """Take in a signal about the watched unit."""
        if message.member == "PropertiesChanged":
            self.changed.set()

    def note_job(self, message: wire.Message) -> None:
        """Take in a signal about a job."""
        if message.member == "JobRemoved" and len(message.body) == 4:
            self.jobs[message.body[1]] = message.body[3]
            self.changed.set()

    def note_owner(self, message: wire.Message) -> None:
        """Take in a signal about who owns systemd's name on the bus."""
        if message.member == "NameOwnerChanged" and message.body[:1] == [_SYSTEMD] and message.body[2]:
            self.owner_changes += 1
            self.owned.set()
            self.changed.set()
