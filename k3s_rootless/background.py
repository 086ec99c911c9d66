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


def _nothing() -> None:
    """Do nothing."""


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


class Followed(Generic[T]):
    """A value that a thread keeps up to date until it is stopped.

    The thread calls `follow` with this object: `follow` puts values, and returns soon after
    `pause` returned True. Whatever `follow` raises is raised by `latest`, and `on_failure` is
    called then. As `Asked`, the thread ends with the program, also in a question that hangs.
    """

    def __init__(
        self,
        name: str,
        value: T,
        follow: Callable[[Followed[T]], None],
        on_failure: Callable[[], object] = _nothing,
    ) -> None:
        self._value = value
        self._follow = follow
        self._on_failure = on_failure
        self._error: BaseException | None = None
        self._known = threading.Event()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def latest(self, seconds: float = 0.0) -> T:
        """Return the latest value; wait at most `seconds` for the first that `follow` puts.

        Raises what `follow` raised.
        """
        if seconds:
            self._known.wait(seconds)
        if self._error is not None:
            raise self._error
        return self._value

    def put(self, value: T) -> None:
        """Replace the value."""
        self._value = value
        self._known.set()

    def pause(self, seconds: float) -> bool:
        """Wait for so many seconds at most; return whether the thread was stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Stop the thread, without waiting for it: it ends once its open question does."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._follow(self)
        except BaseException as error:  # noqa: BLE001 (raised by `latest`)
            self._error = error
            self._known.set()
            self._on_failure()


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
