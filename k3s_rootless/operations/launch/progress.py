"""Follow whether a start makes progress, from the journal.

A K3s that migrates its datastore logs lines of other kinds all the time. A K3s that cannot become
ready repeats the same kinds of lines, with other times and numbers.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from k3s_rootless.background import Followed
from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import lines
from k3s_rootless.journal.facts import Query

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

MOST = 6
"""The journal extends the time limit at most to this multiple."""
_LONGEST_PAUSE = 15.0
_MOST_KINDS = 20_000
_CHANGING = re.compile(r"[0-9a-fA-F]*\d[0-9a-fA-F]*")
_COMPARED = 200


def follow(context: Context, invocation: str, seconds: float) -> Followed[float]:
    """Follow when a start last logged a line of a new kind, by the monotonic clock.

    `seconds` is the time without progress after which the start has failed.
    """

    def read(last: Followed[float]) -> None:
        known: set[str] = set()
        end = time.monotonic() + MOST * seconds
        while not last.pause(min(seconds / 4, _LONGEST_PAUSE)) and time.monotonic() < end:
            try:
                found = kinds(context, invocation)
            except RootlessError:
                return  # the phases still show progress
            if found - known:
                last.put(time.monotonic())
            known |= found

    return Followed("progress", time.monotonic(), read)


def kinds(context: Context, invocation: str) -> set[str]:
    """Return the kinds of lines that a start has logged. Raises RootlessError."""
    # Imported here, like the catalogue: a quick start needs no journal.
    from k3s_rootless.journal.sources import journald

    found: set[str] = set()
    with journald.read(Query(uid=context.uid, invocation=invocation)) as entries:
        for entry in entries:
            found.add(kind(entry.message))
            if len(found) >= _MOST_KINDS:
                break
    return found


def kind(message: str) -> str:
    """Return a line without what differs between two lines of the same kind."""
    return _CHANGING.sub("#", lines.folded(message)[:_COMPARED])
