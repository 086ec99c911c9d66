"""Asks several things at the same time, each within its own time limit, so that one that hangs costs no more than that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from typing import TypeVar

from k3s_rootless.errors import RootlessError

T = TypeVar("T")


def begin(ask: Callable[[], T]) -> Future[T]:
    """Begin to ask.

    A thread of its own and not one of a pool: a pool waits for all of its threads when the program ends, and a question to a
    file system that does not answer cannot be called back.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def answer(future: Future[T], deadline: float) -> T:
    """Wait for an answer until `deadline` (time.monotonic). Raises RootlessError, also for what nobody foresaw."""
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except RootlessError:
        raise
    except OutOfTime:
        raise RootlessError("there was no answer in time") from None
    except Exception as error:
        # One part that fails must not take the others along: that is when a bundle is needed most.
        raise RootlessError(f"it failed: {type(error).__name__}: {error}") from error
