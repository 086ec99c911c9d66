"""The file that K3s writes its log to if `log` is set.

K3s opens it before it creates its namespaces, so its path is one of the host (K3s pkg/cli/cmds,
log_linux.go). Without `alsologtostderr`, the journal has the lines of systemd only,
and at a first start those of unpacking K3s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.sources import log_file
from k3s_rootless.operations import server_settings

if TYPE_CHECKING:
    from datetime import datetime

    from k3s_rootless.journal.facts import StartLog
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

IDENTIFIER = "k3s"


@dataclass(frozen=True, slots=True)
class LogFile:
    """The path of the file, and whether the journal has its lines, too."""

    path: Path
    journal_too: bool


def of(context: Context, state: UnitState) -> LogFile | None:
    """Return the log file of the running K3s or of its next start; None if it writes none."""
    return of_settings(server_settings.of(context, state))


def of_settings(settings: Settings) -> LogFile | None:
    """Return the log file that these settings name; None if there is none."""
    text = settings.value("log").text
    if not text:
        return None
    return LogFile(settings.directory / text, settings.switch("alsologtostderr"))


def located(context: Context) -> tuple[Path, datetime | None]:
    """Return the log file, and when K3s was started.

    Raises UsageError if K3s writes no file, NotRunning if it does not exist, RootlessError.
    """
    state = context.k3s_unit()
    found = of(context, state)
    if found is None:
        raise UsageError(
            "cannot show the log file of K3s: K3s writes none, because `log` is not set",
            hint="show the journal: k3s-rootless logs",
        )
    if not found.path.exists():
        raise NotRunning(
            f"K3s has not written its log: {found.path} does not exist",
            hint="K3s writes it at its next start: k3s-rootless restart",
        )
    return found.path, state.started


def notice(context: Context) -> None:
    """Report that the journal has no line of K3s because K3s writes a file."""
    found = _without_journal(context)
    if found is not None:
        context.notice(
            f"K3s writes its log to {found.path}, and not to the journal; show it with:"
            " k3s-rootless logs --file"
        )


def _without_journal(context: Context) -> LogFile | None:
    """Return the log file, if it exists and K3s does not write its log to the journal."""
    try:
        found = of(context, context.k3s_unit())
    except RootlessError:
        return None  # the state of the unit is reported elsewhere
    if found is None or found.journal_too or not found.path.exists():
        return None
    return found


def start(
    context: Context, journal: StartLog, ended: datetime | None, *, ready: bool
) -> StartLog | None:
    """Return the log of a start from the file, if K3s does not write its log to the journal.

    `journal` is what the journal has of this start: the lines of systemd. None if there is no file,
    or if it cannot be read.
    """
    found = _without_journal(context)
    if found is None:
        return None
    try:
        with log_file.Reading(found.path, IDENTIFIER) as reading:
            entries = log_file.until(log_file.since(reading, journal.began), ended)
            log = diagnosis.read_start(entries, journal.invocation, ready=ready)
    except RootlessError as error:
        context.notice(f"cannot read the log file of K3s: {error.message}")
        return None
    return replace(
        log,
        began=journal.began or log.began,
        ended=journal.ended,
        stopped=journal.stopped or log.stopped,
        file=str(found.path),
    )
