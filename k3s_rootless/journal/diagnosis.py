"""The search for the first real cause in the lines of one start.

The first matching line counts, not the last: later lines are consequences ("child died", "context
canceled") or come from restarts. Errors in the log of a healthy K3s (such as
those of its kubelet in a user namespace) are not a cause. A problem that K3s survives is only a
cause if K3s did not get over it, and if the start was not stopped on request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from k3s_rootless.journal import recognition
from k3s_rootless.journal.catalogue import Weight
from k3s_rootless.journal.facts import Cause, Entry, StartLog
from k3s_rootless.journal.panics import Frames
from k3s_rootless.journal.recognition import normal, recognise
from k3s_rootless.paths import FOREGROUND, UNIT

__all__ = ["StartReader", "first_cause", "last_start", "normal", "read_start", "recognise"]

_BOUND = re.compile(r"Bound parent port [^:\s]{0,64}:(\d{1,5})")
_MOST_STARTS = 8
_UNITS = frozenset({UNIT, FOREGROUND})
_STOPS = "Stopping "
_END = ": Main process exited, "
"""systemd's message about the end of a unit's main process (its log_unit_exit; v247 to v262)."""
_API_READY = 'msg="k3s is up and running"'
_FORWARDING = frozenset({"forward-failed", "address-taken", "stale-state"})
_MOST_AFTER_WAIT = 5000
"""The number of lines to read after the line of a K3s that retries without end."""
_SAME_EXIT = timedelta(seconds=30)
"""The maximum time between the OOM killer's line and the exit by SIGKILL.

The kernel logs the same text if it kills a Pod at its own limit.
"""


class StartReader:
    """Reader of the lines of one start, which records the causes that they show.

    The catalogue limits how much is kept. In a start that is known to be `ready`, no line was
    fatal: the cause was fixed while K3s waited. After a requested stop, no line is fatal either.
    `api_ready` is whether the API server was ready once.
    """

    def __init__(self, invocation: str | None = None, *, ready: bool = False) -> None:
        self.api_ready = False
        self._invocation = invocation
        self._ready = ready
        self._cause: Cause | None = None
        self._frames: Frames | None = None
        self._survived: dict[str, Cause] = {}
        self._notes: dict[str, Cause] = {}
        self._out_of_memory: Cause | None = None
        self._killed: Entry | None = None
        self._lines = 0
        self._after = 0
        self._began: datetime | None = None
        self._ended = False
        self._stopped = False

    @property
    def ended(self) -> bool:
        """True after a fatal line and the lines that belong to it; later lines do not matter."""
        if self._cause is None:
            # systemd checks for an OOM kill before it handles a process that ended (unit_check_oom;
            # v244 to v262).
            return self._killed is not None and self._ended
        if self._waits:
            return self._after >= _MOST_AFTER_WAIT
        return self._frames is None or self._frames.complete

    @property
    def _waits(self) -> bool:
        """True if K3s retries without end: a later line can name the reason."""
        return self._cause is not None and bool(self._cause.waits)

    def read(self, entry: Entry) -> None:
        """Read one entry, unless the start has ended already."""
        # journald makes an entry of each line. An entry with more lines was sent in another way,
        # and its first line names the kind of the message.
        first, _, rest = entry.message.partition("\n")
        if self._cause is not None and not self._waits:
            self._read_frames(entry.message)
            return
        self._after += self._waits
        self._lines += 1
        self._began = self._began or entry.time
        written = recognition.plain(first[: recognition.LONGEST_SEARCHED])
        if "Bound parent port" in written:
            self._bound(written)
        self._note_progress(entry, written)
        found = recognition.cause_of(entry, written)
        if found is not None:
            self._record(*found)
        self._explain_kill()
        if self._panicked:
            self._frames = Frames()
            self._read_frames(rest)

    def _note_progress(self, entry: Entry, written: str) -> None:
        if _API_READY in written:
            self.api_ready = True
            self._survived = {
                kind: cause
                for kind, cause in self._survived.items()
                if not recognition.is_transient(kind)
            }
        if entry.identifier == "systemd" and _END in written:
            self._ended = True
        if entry.identifier == "systemd" and entry.unit in _UNITS and written.startswith(_STOPS):
            # systemd logs this for the job of a stop or restart, not if K3s ends by itself.
            self._stopped = True
        if self._killed is None and recognition.reports_kill(entry, written):
            self._killed = entry

    @property
    def _panicked(self) -> bool:
        return self._cause is not None and self._cause.id == "panic"

    def result(self) -> StartLog:
        """Return the result of the lines so far."""
        others = tuple(self._survived.values())
        cause = self._cause
        if cause is None and self._killed is not None and self._is_unexplained_kill:
            cause = recognition.killed(self._killed)
        # A start that was stopped on request has no cause, whatever K3s survived before.
        if cause is None and others and not self._stopped:
            cause, *rest = others
            others = tuple(rest)
        if cause is not None and self._frames is not None:
            cause = replace(cause, frames=tuple(self._frames.found))
        return StartLog(
            cause,
            others,
            tuple(self._notes.values()),
            self._invocation,
            self._lines,
            self._began,
            self._ended,
            stopped=self._stopped,
        )

    @property
    def _is_unexplained_kill(self) -> bool:
        return not self._ready and not self._stopped and "left-behind" not in self._notes

    def _record(self, cause: Cause, weight: Weight) -> None:
        if cause.id == "killed-by-memory":
            self._out_of_memory = cause
        if self._is_harmless(cause):
            self._notes.setdefault(cause.id, cause)
        elif cause.id == "killed":
            return  # the OOM killer can be the sender; see reports_kill
        elif cause.fatal:
            self._cause = self._cause or cause
        elif weight is Weight.SURVIVED:
            # A busy port is reported once for each kind of failure, with the first line that names
            # it.
            self._survived.setdefault(cause.id, cause)
        elif weight is Weight.NOTE:
            self._notes.setdefault(cause.id, cause)

    def _is_harmless(self, cause: Cause) -> bool:
        # systemd itself sends SIGKILL to processes that do not stop in time. In that case the time
        # limit ended K3s.
        if cause.id == "killed" and "left-behind" in self._notes:
            return True
        # After a request to stop, the parts of K3s lose each other one by one.
        if self._stopped:
            return True
        # If K3s is ready, the OOM killer killed a Pod at its own limit.
        return self._ready and (cause.fatal or cause.id == "killed-by-memory")

    def _explain_kill(self) -> None:
        memory, killed = self._out_of_memory, self._killed
        if self._cause is not None or self._ready or memory is None or killed is None:
            return
        if (
            memory.time is None
            or killed.time is None
            or abs(killed.time - memory.time) <= _SAME_EXIT
        ):
            self._survived.pop(memory.id, None)
            self._cause = recognition.killed_by_memory(memory)

    def _read_frames(self, message: str) -> None:
        if self._frames is not None:
            for line in message.splitlines()[: recognition.MOST_LINES]:
                self._frames.read(recognition.plain(line[: recognition.LONGEST]))

    def _bound(self, written: str) -> None:
        # A forward that failed before was made later: its port was freed, or rootlesskit answered.
        if not self._survived:
            return
        found = _BOUND.search(written)
        if found is None:
            return
        for kind in _FORWARDING & self._survived.keys():
            line = self._survived[kind].line
            if kind == "stale-state" or f":{found[1]}: bind" in line:
                del self._survived[kind]


def read_start(
    entries: Iterable[Entry], invocation: str | None = None, *, ready: bool = False
) -> StartLog:
    """Return the log of one start from its entries.

    Reading stops after the first fatal line and the lines that belong to it.
    """
    reader = StartReader(invocation, ready=ready)
    for entry in entries:
        reader.read(entry)
        if reader.ended:
            break
    return reader.result()


def last_start(entries: Iterable[Entry]) -> StartLog:
    """Return the log of the last start that has a cause, from the entries of many starts.

    Memory use is constant. If the last start has no cause yet, the log of the last start with a
    cause is returned, and its cause is marked as earlier. Of the starts that are too old to be
    kept, only the last failure is kept. If no start has a cause, the log of the last start is
    returned.
    """
    starts: dict[str | None, StartReader] = {}
    failed: StartLog | None = None
    current: str | None = None
    for entry in entries:
        current = entry.invocation or current
        if current not in starts:
            starts[current] = StartReader(current)
            while len(starts) > _MOST_STARTS:
                oldest = starts.pop(next(iter(starts)))
                failed = _failure(oldest, next(iter(starts.values()))) or failed
        starts[current].read(entry)
    newest: StartReader | None = None
    for reader in reversed(starts.values()):
        failure = _failure(reader, newest)
        if failure is not None:
            return failure
        newest = reader
    if failed is not None:
        return failed
    if not starts:
        return StartLog(None)
    return next(reversed(starts.values())).result()


def _failure(reader: StartReader, following: StartReader | None) -> StartLog | None:
    found = reader.result()
    if found.cause is None:
        return None
    if following is None:
        return found
    return replace(found, cause=replace(found.cause, earlier=True), recovered=following.api_ready)


def first_cause(entries: Iterable[Entry]) -> Cause | None:
    """Return the first cause that kept K3s from starting, or None if no line names one.

    A problem that K3s survives is returned only if no fatal line follows.
    """
    return read_start(entries).cause
