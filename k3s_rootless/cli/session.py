"""The session of a command: the context of its operations, and the report for their results."""

from __future__ import annotations

from dataclasses import dataclass, field

from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Session(Context):
    """One run of a command; `report` shows its answer and receives the events of its operations."""

    report: Report = field(default_factory=Report)

    @classmethod
    def begin(cls, json_for: str | None = None) -> Session:
        """Create the session of this process; `json_for` is the command if the answer is JSON.

        Raises RootlessError for a user without an entry in the user database.
        """
        report = Report(json_for=json_for)
        context = Context.of(report.handle)
        return cls(
            context.paths, context.environ, context.uid, context.user, context.listener, report
        )
