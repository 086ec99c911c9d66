"""Read the journal of a start while `up` waits for it.

K3s can log that it cannot become ready, and keep running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.background import Followed
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0
"""The seconds between two reads; each pause is twice as long as the previous one.

So the journal of a successful start is read only a few times.
"""


def follow(context: Context, invocation: str, wake: Callable[[], object]) -> Followed[Cause | None]:
    """Follow the cause for which K3s retries without end; None while the journal shows none.

    `wake` is called once the journal shows a cause.
    """

    def read(cause: Followed[Cause | None]) -> None:
        pause = _FIRST_PAUSE
        while not cause.pause(pause):
            # Imported here: 40 ms for the catalogue, which a start needs after two seconds.
            from k3s_rootless.operations.diagnose import start_log

            try:
                found = start_log.read(context, invocation, ready=False).cause
            except RootlessError:
                return  # the time limit still ends the wait
            if found is not None and found.waits:
                cause.put(found)
                wake()
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    first: Cause | None = None
    return Followed("journal", first, read)
