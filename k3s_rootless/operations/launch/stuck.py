"""Reads the journal of a start while `up` waits for it: K3s can print that it never becomes ready,
and keep running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.background import Followed
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.diagnose import last_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0
"""Seconds between two reads, each twice as long as the pause before: the journal of a start that
succeeds is read only a few times.
"""


def follow(context: Context, invocation: str, wake: Callable[[], object]) -> Followed[Cause | None]:
    """Follow the cause for which K3s tries again without end; None while its journal names none.

    `wake` is called once the journal names one.
    """

    def read(cause: Followed[Cause | None]) -> None:
        pause = _FIRST_PAUSE
        while not cause.pause(pause):
            try:
                found = last_words.heard(context, invocation, ready=False).cause
            except RootlessError:
                return  # the time limit of the wait still ends it
            if found is not None and found.waits:
                cause.put(found)
                wake()
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    first: Cause | None = None
    return Followed("journal", first, read)
