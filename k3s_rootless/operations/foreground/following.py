"""Send the lines that K3s writes to the listener, while it runs in the foreground."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.errors import RootlessError
from k3s_rootless.journal.facts import Query
from k3s_rootless.journal.sources import journald
from k3s_rootless.operations.launch.events import Logged

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_MANAGER = "systemd"
_SECONDS = 10.0
"""Time limit for journalctl to end after it was killed."""


class Following:
    """Follows the journal of one start in a thread, until `end`."""

    def __init__(self, context: Context, invocation: str) -> None:
        self._context = context
        self._invocation = invocation
        self._cursor: str | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._follow, name="log", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop following, and send the lines that are left. This ends all other programs."""
        self._ending = True
        command.end_all()
        self._thread.join(_SECONDS)
        try:
            self._read(Query(self._context.uid, self._invocation, after=self._cursor))
        except RootlessError:
            return  # reported by the thread, if it was not caused by the end

    def _follow(self) -> None:
        try:
            self._read(Query(self._context.uid, self._invocation, follow=True, whole=True))
        except RootlessError as error:
            if not self._ending:
                self._context.notice(
                    f"cannot show the lines of K3s: {error.message}; K3s keeps running"
                )

    def _read(self, query: Query) -> None:
        with journald.read(query) as entries:
            for entry in entries:
                self._cursor = entry.cursor or self._cursor
                if entry.identifier != _MANAGER:
                    self._context.listener(Logged(entry.message))
