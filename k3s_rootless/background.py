"""Asks several things at the same time, each within its own time limit, so that one that hangs
costs no more than that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from k3s_rootless.errors import RootlessError

T = TypeVar("T")


class Asked(Generic[T]):
    """A question that is being asked.

    In a thread of its own and not one of a pool: a pool waits for all of its threads when the
    program ends, and a question to a file system that does not answer cannot be called back. Nor by
    a future: its module loads logging and queues, 8 ms.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._answers.append(self._ask())
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            self._errors.append(error)

    @property
    def asking(self) -> bool:
        """Whether nobody has answered yet."""
        return self._thread.is_alive()

    def result(self, seconds: float | None = None) -> T:
        """Wait for the answer, at most for `seconds`.

        Raises TimeoutError, or whatever asking raised.
        """
        self._thread.join(seconds)
        if self._errors:
            raise self._errors[0]
        if not self._answers:
            raise TimeoutError
        return self._answers[0]


def begin(ask: Callable[[], T]) -> Asked[T]:
    """Begin to ask."""
    return Asked(ask)


def answer(asked: Asked[T], deadline: float) -> T:
    """Wait for an answer until `deadline` (time.monotonic).

    Raises RootlessError, also for what nobody foresaw.
    """
    try:
        return asked.result(max(0.0, deadline - time.monotonic()))
    except RootlessError:
        raise
    except TimeoutError:
        raise RootlessError("there was no answer in time") from None
    except Exception as error:
        # One part that fails must not take the others along: that is when a bundle is needed most.
        raise RootlessError(f"it failed: {type(error).__name__}: {error}") from error
