"""From the lines of one start to its first real cause.

The first line counts, not the last: what follows are consequences ("child died", "context
canceled"), restarts and their noise. Frightening lines of a K3s that is well (errors of its kubelet
in a user namespace) are no cause, however they sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from k3s_rootless.journal import recognition
from k3s_rootless.journal.catalogue import Weight
from k3s_rootless.journal.facts import Cause, Entry, Story
from k3s_rootless.journal.panics import Frames
from k3s_rootless.journal.recognition import normal, recognise

__all__ = ["Listener", "first_cause", "last_start", "normal", "recognise", "story"]

_BOUND = re.compile(r"Bound parent port [^:\s]{0,64}:(\d{1,5})")
_MOST_STARTS = 8
_END = ": Main process exited, "
"""systemd's word on the end of a unit's main process (its log_unit_exit; v247 to v262)."""
_API_IS_UP = 'msg="k3s is up and running"'
_FORWARDING = frozenset({"forward-failed", "address-taken", "stale-state"})
_SAME_DEATH = timedelta(seconds=30)
"""How far apart the OOM killer's line and the death by SIGKILL may be: a Pod at its own limit
is killed in the same words.
"""


class Listener:
    """Hears the lines of one start, and remembers what they say; what is remembered is bounded
    by the catalogue.

    In a start that is known to be `ready`, no line was fatal: the cause was fixed while K3s waited.
    `came_up` is whether the API server came up.
    """

    def __init__(self, invocation: str | None = None, *, ready: bool = False) -> None:
        self.came_up = False
        self._invocation = invocation
        self._ready = ready
        self._cause: Cause | None = None
        self._frames: Frames | None = None
        self._survived: dict[str, Cause] = {}
        self._notes: dict[str, Cause] = {}
        self._out_of_memory: Cause | None = None
        self._killed: Entry | None = None
        self._lines = 0
        self._began: datetime | None = None
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether a fatal line was heard, with the lines that belong to it: later lines do not
        matter.
        """
        if self._cause is None:
            # systemd looks for the OOM killer's work before it looks at a process that ended
            # (unit_check_oom; v244 to v262).
            return self._killed is not None and self._ended
        return self._frames is None or self._frames.complete

    def hear(self, entry: Entry) -> None:
        """Take in one entry, unless the start has ended already."""
        # journald makes an entry of each line; one that holds more was sent otherwise, and its
        # first line says what it is.
        first, _, rest = entry.message.partition("\n")
        if self._cause is not None:
            self._hear_frames(entry.message)
            return
        self._lines += 1
        self._began = self._began or entry.time
        written = recognition.plain(first[: recognition.LONGEST_SEARCHED])
        if "Bound parent port" in written:
            self._bound(written)
        self._note_progress(entry, written)
        found = recognition.heard(entry, written)
        if found is not None:
            self._remember(*found)
        self._explain_kill()
        if self._panicked:
            self._frames = Frames()
            self._hear_frames(rest)

    def _note_progress(self, entry: Entry, written: str) -> None:
        if _API_IS_UP in written:
            self.came_up = True
        if entry.identifier == "systemd" and _END in written:
            self._ended = True
        if self._killed is None and recognition.tells_of_kill(entry, written):
            self._killed = entry

    @property
    def _panicked(self) -> bool:
        return self._cause is not None and self._cause.id == "panic"

    def story(self) -> Story:
        """Tell what was heard."""
        others = tuple(self._survived.values())
        cause = self._cause
        if (
            cause is None
            and self._killed is not None
            and not self._ready
            and "left-behind" not in self._notes
        ):
            cause = recognition.killed(self._killed)
        if cause is None and others:
            cause, *rest = others
            others = tuple(rest)
        if cause is not None and self._frames is not None:
            cause = replace(cause, frames=tuple(self._frames.found))
        notes = tuple(self._notes.values())
        return Story(cause, others, notes, self._invocation, self._lines, self._began, self._ended)

    def _remember(self, cause: Cause, weight: Weight) -> None:
        if cause.id == "killed-by-memory":
            self._out_of_memory = cause
        if self._is_harmless(cause):
            self._notes.setdefault(cause.id, cause)
        elif cause.id == "killed":
            return  # known by tells_of_kill: the OOM killer may have done it
        elif cause.fatal:
            self._cause = cause
        elif weight is Weight.SURVIVED:
            # A busy port is told once for each of its kind of failure, with the first line that
            # said it.
            self._survived.setdefault(cause.id, cause)
        elif weight is Weight.NOTE:
            self._notes.setdefault(cause.id, cause)

    def _is_harmless(self, cause: Cause) -> bool:
        # systemd itself sends SIGKILL to what does not stop in time: then the time limit is what
        # ended K3s.
        if cause.id == "killed" and "left-behind" in self._notes:
            return True
        # If K3s is ready, the OOM killer took a Pod at its own limit.
        return self._ready and (cause.fatal or cause.id == "killed-by-memory")

    def _explain_kill(self) -> None:
        memory, killed = self._out_of_memory, self._killed
        if self._cause is not None or self._ready or memory is None or killed is None:
            return
        if (
            memory.time is None
            or killed.time is None
            or abs(killed.time - memory.time) <= _SAME_DEATH
        ):
            self._survived.pop(memory.id, None)
            self._cause = recognition.killed_by_memory(memory)

    def _hear_frames(self, message: str) -> None:
        if self._frames is not None:
            for line in message.splitlines()[: recognition.MOST_LINES]:
                self._frames.hear(recognition.plain(line[: recognition.LONGEST]))

    def _bound(self, written: str) -> None:
        # The forward that failed before was made after all: its port was freed, or rootlesskit
        # answered.
        if not self._survived:
            return
        found = _BOUND.search(written)
        if found is None:
            return
        for kind in _FORWARDING & self._survived.keys():
            line = self._survived[kind].line
            if kind == "stale-state" or f":{found[1]}: bind" in line:
                del self._survived[kind]


def story(entries: Iterable[Entry], invocation: str | None = None, *, ready: bool = False) -> Story:
    """Hear the entries of one start; reads no further than to the first fatal line and what
    belongs to it.
    """
    listener = Listener(invocation, ready=ready)
    for entry in entries:
        listener.hear(entry)
        if listener.ended:
            break
    return listener.story()


def last_start(entries: Iterable[Entry]) -> Story:
    """Hear the entries of many starts, in constant memory, and tell of the last that there is
    something to tell of.

    If the last start has no cause yet, the story of the last start that has one is returned, and
    its cause is marked as earlier. Of the starts that lie too far back to be kept, only the last
    failure is kept.
    """
    starts: dict[str | None, Listener] = {}
    failed: Story | None = None
    current: str | None = None
    for entry in entries:
        current = entry.invocation or current
        if current not in starts:
            starts[current] = Listener(current)
            while len(starts) > _MOST_STARTS:
                oldest = starts.pop(next(iter(starts)))
                failed = _failure(oldest, next(iter(starts.values()))) or failed
        starts[current].hear(entry)
    newest: Listener | None = None
    for listener in reversed(starts.values()):
        failure = _failure(listener, newest)
        if failure is not None:
            return failure
        newest = listener
    if failed is not None:
        return failed
    if not starts:
        return Story(None)
    return next(reversed(starts.values())).story()


def _failure(listener: Listener, following: Listener | None) -> Story | None:
    found = listener.story()
    if found.cause is None:
        return None
    if following is None:
        return found
    return replace(found, cause=replace(found.cause, earlier=True), recovered=following.came_up)


def first_cause(entries: Iterable[Entry]) -> Cause | None:
    """Find what kept K3s from coming up, or None when no line says that anything did.

    Something that K3s survives is the answer only where nothing fatal follows.
    """
    return story(entries).cause
