"""Reads the journal of a start while `up` waits for it: K3s can say that it never becomes ready,
and run on all the same.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0
"""Seconds between two looks, each twice as long as the one before: a start that goes well is read
but a few times.
"""


class Stuck:
    """The cause for which K3s tries again without end, once its journal names one; `wake` is called
    then.
    """

    def __init__(self, context: Context, invocation: str, wake: Callable[[], None]) -> None:
        self.cause: Cause | None = None
        self._context = context
        self._invocation = invocation
        self._wake = wake
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="journal", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; does not wait for it."""
        self._stopped.set()

    def _run(self) -> None:
        from k3s_rootless.operations.diagnose import last_words

        pause = _FIRST_PAUSE
        while not self._stopped.wait(pause):
            try:
                cause = last_words.heard(self._context, self._invocation, ready=False).cause
            except RootlessError:
                # The time limit of the wait still ends it.
                return
            if cause is not None and cause.waits:
                self.cause = cause
                self._wake()
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
