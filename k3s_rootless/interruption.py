"""Delay the signals that would end this process while K3s is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Delay:
    """Signals that arrived, and whether one interrupts the process at once."""

    def __init__(self) -> None:
        self.arrived = False
        self._allowed = False

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in this block if a signal arrives, or arrived before."""
        self._allowed = True
        try:
            if self.arrived:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False

    def note(self, number: int, frame: object) -> None:
        """Handle a signal."""
        del number, frame
        self.arrived = True
        if self._allowed:
            # Only once: the code that handles the first interrupt must reach its end.
            self._allowed = False
            raise KeyboardInterrupt


@contextmanager
def delayed() -> Iterator[Delay]:
    """Delay SIGINT, SIGTERM and SIGHUP, and raise KeyboardInterrupt for them after the block.

    A signal that this process ignores is still ignored. SIGKILL cannot be delayed.
    """
    delay = Delay()
    if threading.current_thread() is not threading.main_thread():
        yield delay  # Python handles signals in its main thread only
        return
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, delay.note)
    try:
        yield delay
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if delay.arrived:
        raise KeyboardInterrupt
