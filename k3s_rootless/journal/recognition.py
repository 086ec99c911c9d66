"""The meaning of one line: the failure in the catalogue, and whether the line is fatal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless.journal.catalogue import CATALOGUE, Failure, Sign, Weight, session
from k3s_rootless.journal.facts import Cause, Entry
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]{0,64}[ -/]{0,8}[@-~]")
# The messages of K3s's parent process after its child ended, and of all parts when everything stops
# (K3s v1.21 to v1.36). The text after "child died: executing" is what the child could not do. So it
# is a cause, not a consequence.
_CONSEQUENCE = re.compile(
    r"child died(?!: executing)|parsing message from fd \d+: EOF|child exited|exited: exit status"
    r" \d+|context canceled"
    r"|signal: (killed|terminated)"
)
# The forms of a fatal line: logrus into a pipe, logrus on a terminal, the program of rootlesskit,
# klog, and a Go program that crashes. `shutdown` is the form in which newer releases of K3s wrap
# their fatal error.
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
LONGEST = 4000
"""The number of characters of a line that are kept."""
MOST_LINES = 200
"""The number of lines of one message that are searched."""
LONGEST_SEARCHED = 16 * 1024
"""The number of characters of a line that are searched.

The longest fatal line of K3s names a whole mount, and has 3 KiB.
"""


def recognise(line: str) -> tuple[Failure, Sign, re.Match[str]] | None:
    """Return the entry of the catalogue that matches a line in the form that `normal` returns."""
    for failure, sign in _SIGNS:
        if sign.literal not in line:
            continue
        found = sign.pattern.search(line)
        if found is not None:
            return failure, sign, found
    return None


def normal(line: str) -> str:
    r"""Replace `\"` by `"`; logrus writes quotes inside `msg="…"` in this form."""
    return line.replace('\\"', '"')


def _signs() -> Iterator[tuple[Failure, Sign]]:
    for failure in CATALOGUE:
        for sign in failure.signs:
            yield failure, sign


_ENTRIES = {failure.id: failure for failure in CATALOGUE}
_SIGNS = tuple(_signs())
_FROM_SYSTEMD = frozenset(failure.id for failure in session.FAILURES)
"""The failures that systemd itself reports."""


_KILLS = ("signal: killed", "code=killed, status=9/KILL")


def plain(message: str) -> str:
    """Remove escape sequences."""
    if "\x1b" not in message:
        return message
    return _ESCAPE_SEQUENCE.sub("", message)


def reports_kill(entry: Entry, written: str) -> bool:
    """Return whether a line reports that SIGKILL ended K3s itself.

    The line comes from systemd, or from K3s's parent process.
    """
    if entry.identifier in {None, "systemd"} and _KILLS[1] in written:
        return True
    return _KILLS[0] in written and "level=fatal" in written


def killed(entry: Entry) -> Cause:
    """Return the cause of a start that SIGKILL ended, if no line names the sender."""
    line = normal(plain(entry.message.partition("\n")[0][:LONGEST_SEARCHED]))
    return _of_entry(_ENTRIES["killed"], line, entry)


def killed_by_memory(line: Cause) -> Cause:
    """Return the cause of a start that the OOM killer ended.

    `line` is the cause that the line of the OOM killer alone means.
    """
    return replace(line, fatal=True, title=_ENTRIES["killed-by-memory"].title)


def _of_entry(failure: Failure, line: str, entry: Entry) -> Cause:
    return Cause(
        failure.id,
        failure.check,
        failure.title,
        printable(line, LONGEST),
        entry.time,
        failure.remedy,
        why=failure.why,
    )


def cause_of(entry: Entry, written: str) -> tuple[Cause, Weight] | None:
    """Return the cause that a line names, and its weight; None if the line names no cause."""
    line = normal(written)
    known = recognise(line)
    if entry.identifier == "systemd" and (known is None or known[0].id not in _FROM_SYSTEMD):
        # systemd quotes the unit. A description or a command line that contains the words of a
        # fatal message is no fatal message.
        return None
    if known is not None:
        failure, sign, found = known
        weight = sign.weight or failure.weight
        # If the fatal line of K3s contains a note, that note is the cause.
        fatal = weight is Weight.FATAL or (
            weight is not Weight.BENIGN and _fatal_reason(written) is not None
        )
        return _known(failure, sign, found.groupdict(default=""), entry, line, fatal=fatal), weight
    text = _fatal_reason(written)
    if text is None:
        return None
    return (
        Cause("unknown", "", printable(text, LONGEST), printable(line, LONGEST), entry.time, None),
        Weight.FATAL,
    )


def is_transient(identifier: str) -> bool:
    """Return whether a problem is over as soon as the API server is ready."""
    return _ENTRIES[identifier].transient


def _fatal_reason(written: str) -> str | None:
    text = _fatal_text(written)
    if text is None or _CONSEQUENCE.search(text):
        return None
    return text


def _known(
    failure: Failure, sign: Sign, groups: Mapping[str, str], entry: Entry, line: str, *, fatal: bool
) -> Cause:
    return Cause(
        id=failure.id,
        check=(sign.check or failure.check).format_map(groups),
        title=printable((sign.title or failure.title).format_map(groups)),
        line=printable(line, LONGEST),
        time=entry.time,
        remedy=failure.remedy,
        fatal=fatal,
        why=failure.why,
        waits=failure.waits if fatal else "",
    )


def _fatal_text(line: str) -> str | None:
    # Most lines are irrelevant, and searching for a few words is ten times cheaper than the
    # expression.
    if not line.startswith(_STARTS) and not any(literal in line for literal in _LITERALS):
        return None
    found = _FATAL.search(line)
    if found is None:
        return None
    text = next((group for group in found.groups() if group is not None), "")
    return normal(text).strip()
