"""From the lines of one start to its first real cause.

The first line counts, not the last: what follows are consequences ("child died", "context canceled"), restarts and their noise.
Frightening lines of a K3s that is well (errors of its kubelet in a user namespace) are no cause, however they sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from k3s_rootless.journal.catalogue import CATALOGUE, Failure, Sign, Weight, session
from k3s_rootless.journal.facts import Cause, Entry, Story
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]{0,64}[ -/]{0,8}[@-~]")
# What K3s's parent says when its child ended, and what everything says when everything ends (K3s v1.21 to v1.36).
_CONSEQUENCE = re.compile(
    r"child died|parsing message from fd \d+: EOF|child exited|exited: exit status \d+|context canceled"
    r"|signal: (killed|terminated)"
)
# logrus into a pipe, logrus on a terminal, rootlesskit's own program, klog, a Go program that dies, and how newer releases of
# K3s wrap what they die of.
_QUOTED = r'(?:[^"\\]|\\.)*'
_FATAL = re.compile(
    rf'level=fatal msg="(?:Error: )?(?P<logrus>{_QUOTED})'
    r"|level=fatal msg=(?P<bare>\S+)"
    rf'|level=error msg="Shutdown request received: (?:\\")?(?P<shutdown>{_QUOTED}?)(?:\\")?"'
    r"|\bFATA\[\d+\] (?:Error: )?(?P<terminal>.*)"
    r"|^\[rootlesskit:\w+\s*\] error: (?P<rootlesskit>.*)"
    r"|^F\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ (?P<klog>.*)"
    r"|^(?P<go>(?:panic|fatal error): .*)"
)
_LITERALS = ("level=fatal", "FATA[", "[rootlesskit:", "Shutdown request received: ")
_STARTS = ("F", "panic: ", "fatal error: ")
_BOUND = re.compile(r"Bound parent port [^:\s]{0,64}:(\d{1,5})")
_LONGEST = 4000
_LONGEST_SEARCHED = 16 * 1024
"""Characters of a line that are looked at: the longest line that K3s dies with names a whole mount, and has 3 KiB."""
_MOST_STARTS = 8
_END = ": Main process exited, "
"""systemd's word on the end of a unit's main process (its log_unit_exit; v247 to v262)."""
_FORWARDING = frozenset({"forward-failed", "address-taken", "stale-state"})


class Listener:
    """Hears the lines of one start, and remembers what they say; what is remembered is bounded by the catalogue.

    Of a start that is known to be `ready`, nothing was fatal: what it waited for was mended under way.
    """

    def __init__(self, invocation: str | None = None, *, ready: bool = False) -> None:
        self._invocation = invocation
        self._ready = ready
        self._cause: Cause | None = None
        self._survived: dict[str, Cause] = {}
        self._notes: dict[str, Cause] = {}
        self._lines = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether a fatal line was heard: nothing behind it matters."""
        return self._cause is not None

    def hear(self, entry: Entry) -> None:
        """Take in one entry, unless the start has ended already."""
        if self._cause is not None:
            return
        self._lines += 1
        # journald makes an entry of each line; one that holds more was sent otherwise, and its first line says what it is.
        written = _plain(entry.message.partition("\n")[0][:_LONGEST_SEARCHED])
        if "Bound parent port" in written:
            self._bound(written)
        self._ended = self._ended or (entry.identifier == "systemd" and _END in written)
        found = _heard(entry, written)
        if found is None:
            return
        cause, weight = found
        if cause.fatal and self._ready:
            self._notes.setdefault(cause.id, cause)
        elif cause.fatal:
            self._cause = cause
        elif weight is Weight.SURVIVED:
            # A busy port is told once for each of its kind of failure, with the first line that said it.
            self._survived.setdefault(cause.id, cause)
        elif weight is Weight.NOTE:
            self._notes.setdefault(cause.id, cause)

    def story(self) -> Story:
        """Tell what was heard."""
        others = tuple(self._survived.values())
        cause = self._cause
        if cause is None and others:
            cause, *rest = others
            others = tuple(rest)
        return Story(cause, others, tuple(self._notes.values()), self._invocation, self._lines, self._ended)

    def _bound(self, written: str) -> None:
        # The forward that failed before was made after all: its port was freed, or rootlesskit answered.
        if not (self._survived and (found := _BOUND.search(written))):
            return
        for kind in _FORWARDING & self._survived.keys():
            line = self._survived[kind].line
            if kind == "stale-state" or f":{found[1]}: bind" in line:
                del self._survived[kind]


def story(entries: Iterable[Entry], invocation: str | None = None, *, ready: bool = False) -> Story:
    """Hear the entries of one start; reads no further than to the first fatal line."""
    listener = Listener(invocation, ready=ready)
    for entry in entries:
        listener.hear(entry)
        if listener.ended:
            break
    return listener.story()


def last_start(entries: Iterable[Entry]) -> Story:
    """Hear the entries of many starts, in constant memory, and tell of the last that there is something to tell of.

    Where the last start has no cause yet and the one before it has one, the earlier one is told: K3s is being restarted.
    """
    starts: dict[str | None, Listener] = {}
    current: str | None = None
    for entry in entries:
        current = entry.invocation or current
        if current not in starts:
            starts[current] = Listener(current)
            while len(starts) > _MOST_STARTS:
                del starts[next(iter(starts))]
        starts[current].hear(entry)
    told = [listener.story() for listener in reversed(starts.values())]
    return next((one for one in told if one.cause is not None), told[0] if told else Story(None))


def first_cause(entries: Iterable[Entry]) -> Cause | None:
    """Find what kept K3s from coming up, or None when no line says that anything did.

    Something that K3s survives is the answer only where nothing fatal follows.
    """
    return story(entries).cause


def recognise(line: str) -> tuple[Failure, Sign, re.Match[str]] | None:
    """Find the entry of the catalogue that knows a line, as `normal` gives it."""
    for failure, sign in _SIGNS:
        if sign.literal in line and (found := sign.pattern.search(line)):
            return failure, sign, found
    return None


def normal(line: str) -> str:
    r"""Read `\"` as `"`, which is how logrus writes quotes inside of `msg="…"`."""
    return line.replace('\\"', '"') if '\\"' in line else line


def _signs() -> Iterator[tuple[Failure, Sign]]:
    for failure in CATALOGUE:
        for sign in failure.signs:
            yield failure, sign


_SIGNS = tuple(_signs())
_MANAGERS = frozenset(failure.id for failure in session.FAILURES)
"""What systemd itself says."""


def _plain(message: str) -> str:
    return _ESCAPE_SEQUENCE.sub("", message) if "\x1b" in message else message


def _heard(entry: Entry, written: str) -> tuple[Cause, Weight] | None:
    line = normal(written)
    known = recognise(line)
    if entry.identifier == "systemd" and (known is None or known[0].id not in _MANAGERS):
        # It quotes the unit: a description or a command line with the words of a death in it is none.
        return None
    if known is not None:
        failure, sign, found = known
        weight = sign.weight or failure.weight
        # A note in the line that K3s dies with is what it died of.
        fatal = weight is Weight.FATAL or (weight is not Weight.BENIGN and _died_of(written) is not None)
        return _known(failure, sign, found.groupdict(default=""), entry, line, fatal=fatal), weight
    text = _died_of(written)
    if text is None:
        return None
    return Cause("unknown", "", printable(text, _LONGEST), printable(line, _LONGEST), entry.time, None), Weight.FATAL


def _died_of(written: str) -> str | None:
    text = _fatal_text(written)
    return None if text is None or _CONSEQUENCE.search(text) else text


def _known(failure: Failure, sign: Sign, groups: Mapping[str, str], entry: Entry, line: str, *, fatal: bool) -> Cause:
    return Cause(
        id=failure.id,
        check=(sign.check or failure.check).format_map(groups),
        title=printable((sign.title or failure.title).format_map(groups)),
        line=printable(line, _LONGEST),
        time=entry.time,
        remedy=failure.remedy,
        fatal=fatal,
        why=failure.why,
    )


def _fatal_text(line: str) -> str | None:
    # Most lines are no concern of ours; a look for a few words is ten times cheaper than the expression.
    if not line.startswith(_STARTS) and not any(literal in line for literal in _LITERALS):
        return None
    found = _FATAL.search(line)
    return normal(next((text for text in found.groups() if text is not None), "")).strip() if found else None
