"""From the lines of one start to its first real cause.

The first line counts, not the last: what follows are consequences ("child died", "context canceled"), restarts and their noise.
Frightening lines of a K3s that is well (errors of its kubelet in a user namespace) match nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from k3s_rootless.journal.facts import Cause, Entry
from k3s_rootless.journal.signatures import SIGNATURES, Signature
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
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
_LONGEST = 4000


def first_cause(entries: Iterable[Entry]) -> Cause | None:
    """Find what kept K3s from coming up, or None when no line says that anything did.

    Reads no further than to the first fatal line. Something that K3s survives is the answer only where nothing fatal follows.
    """
    survived: Cause | None = None
    for entry in entries:
        # journald makes an entry of each line; one that holds more was sent otherwise, and its first line says what it is.
        cause = _cause(entry, _plain(entry.message.partition("\n")[0]))
        if cause is not None and cause.fatal:
            return cause
        survived = survived or cause
    return survived


def normal(line: str) -> str:
    r"""Read `\"` as `"`, which is how logrus writes quotes inside of `msg="…"`."""
    return line.replace('\\"', '"') if '\\"' in line else line


def _plain(message: str) -> str:
    return _ESCAPE_SEQUENCE.sub("", message) if "\x1b" in message else message


def _cause(entry: Entry, written: str) -> Cause | None:
    fatal, line = _fatal_text(written), normal(written)
    for signature in SIGNATURES:
        if signature.literal in line and (found := signature.pattern.search(line)):
            return _known(signature, found.groupdict(default=""), entry, line, fatal=signature.fatal or fatal is not None)
    if fatal is None or _CONSEQUENCE.search(fatal):
        return None
    return Cause("unknown", "", printable(fatal, _LONGEST), printable(line, _LONGEST), entry.time, None)


def _known(signature: Signature, groups: Mapping[str, str], entry: Entry, line: str, *, fatal: bool) -> Cause:
    return Cause(
        id=signature.id,
        check=signature.check.format_map(groups),
        title=printable(signature.title.format_map(groups)),
        line=printable(line, _LONGEST),
        time=entry.time,
        remedy=signature.remedy,
        fatal=fatal,
    )


def _fatal_text(line: str) -> str | None:
    # Most lines are no concern of ours; a look for a few words is ten times cheaper than the expression.
    if not line.startswith(_STARTS) and not any(literal in line for literal in _LITERALS):
        return None
    found = _FATAL.search(line)
    return normal(next((text for text in found.groups() if text is not None), "")).strip() if found else None
