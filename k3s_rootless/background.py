"""Run several queries at the same time, each with its own time limit.

A query that hangs does not delay the others.
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


class BackgroundQuery(Generic[T]):
    """A query that runs in a thread.

    It uses a daemon thread instead of a thread pool: at exit, a pool waits for all of its threads,
    and a query to a file system that does not respond cannot be cancelled. It does not use a
    future: that module loads logging and queues, which takes 8 ms.
    """

    def __init__(self, query: Callable[[], T]) -> None:
        self._query = query
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._answers.append(self._query())
        except BaseException as error:  # noqa: BLE001 (raised again by `result`)
            self._errors.append(error)

    @property
    def running(self) -> bool:
        """True while no result has arrived."""
        return self._thread.is_alive()

    def result(self, seconds: float | None = None) -> T:
        """Wait for the result, at most `seconds`.

        Raises TimeoutError, or the error that the query raised.
        """
        self._thread.join(seconds)
        if self._errors:
            raise self._errors[0]
        if not self._answers:
            raise TimeoutError
        return self._answers[0]


class Followed(Generic[T]):
    """A value that a thread keeps up to date until the thread is stopped.

    The thread calls `follow` with this object. `follow` sets values with `put`, and returns soon
    after `pause` returned True. An error that `follow` raises is raised by `latest`; `on_failure`
    is called as well. As with `BackgroundQuery`, the thread ends with the program, even if its
    query hangs.
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
        """Return the latest value; wait at most `seconds` for the first value from `follow`.

        Raises the error that `follow` raised.
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
        """Wait at most `seconds`; return whether the thread was stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Stop the thread without waiting for it; it ends after its current query."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._follow(self)
        except BaseException as error:  # noqa: BLE001 (raised by `latest`)
            self._error = error
            self._known.set()
            self._on_failure()


def begin(query: Callable[[], T]) -> BackgroundQuery[T]:
    """Start a query."""
    return BackgroundQuery(query)


def answer(query: BackgroundQuery[T], deadline: float) -> T:
    """Wait for a result until `deadline` (time.monotonic).

    Raises RootlessError, also for unexpected errors.
    """
    try:
        return query.result(max(0.0, deadline - time.monotonic()))
    except RootlessError:
        raise
    except TimeoutError:
        raise RootlessError("no answer within the time limit") from None
    except Exception as error:
        # A part that fails must not stop the other parts: a bundle is needed most in such a case.
        raise RootlessError(f"internal error: {type(error).__name__}: {error}") from error
