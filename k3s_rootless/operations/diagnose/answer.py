"""The result of a diagnosis, and its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding
    from k3s_rootless.journal.facts import Cause, Ending, StartLog
    from k3s_rootless.operations.backup.unfinished import Unfinished

WHERE_TO_ASK = "https://github.com/k3s-io/k3s/issues"
"""Where to ask about a log line that the catalogue does not contain."""
UNKNOWN = "unknown"
"""The id of a cause that the catalogue does not contain."""
FINE, FAILED, STOPPING, WAITING = 0, 1, 3, 4
"""Exit codes of `diagnose`."""
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a diagnosis.

    `cause` is the cause of the failure, `log` is what the log lines show, `ending` is the end of
    the unit (None for a file), `source` is where the lines were read. `missing` is what a running
    K3s waits for. `earlier` is the cause that ended the previous start, if K3s is ready now and
    that was recent. `unfinished` is the work of an interrupted command. Without a cause, `warnings`
    are what `check` finds now in the settings, the data and the limits of K3s.
    """

    cause: Cause | None
    log: StartLog
    ending: Ending | None
    source: str
    ready: bool = False
    missing: str = ""
    earlier: Cause | None = None
    unfinished: Unfinished | None = None
    warnings: tuple[Finding, ...] = ()

    @property
    def others(self) -> tuple[Cause, ...]:
        """The other causes in the log lines; notes count only if K3s failed or is not ready."""
        found = self.log.others
        if self.cause is not None or not self.ready:
            found += self.log.notes[:_MOST_NOTES]
        if self.cause is None:
            return found
        return tuple(other for other in found if other.id != self.cause.id)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.cause is not None:
            return FAILED
        if self.ready or self.ending is None:
            return FINE
        if self.ending.stopping:
            return STOPPING
        return WAITING if self.ending.active_state == "active" else FAILED

    @property
    def problem(self) -> str:
        """The sentence that describes the problem."""
        if self.cause is not None:
            return self.cause.title
        if self.code == STOPPING:
            return "K3s is stopping"
        return self.missing or "K3s failed, but its journal does not show why"
