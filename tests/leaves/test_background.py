"""What is asked side by side is answered or given up, each for itself."""

from __future__ import annotations

import threading
import time

import pytest

from k3s_rootless import background
from k3s_rootless.errors import NotRunning, RootlessError
from tests.patience import PATIENCE


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


def test_an_answer_is_an_answer() -> None:
    assert 42 == background.answer(background.begin(lambda: 42), soon())


def test_our_own_errors_arrive_as_they_are() -> None:
    def ask() -> None:
        raise NotRunning("not now", hint="later")

    with pytest.raises(NotRunning) as raised:
        background.answer(background.begin(ask), soon())

    assert "later" == raised.value.hint


def test_what_nobody_foresaw_takes_nothing_along() -> None:
    with pytest.raises(RootlessError, match="it failed: ZeroDivisionError"):
        background.answer(background.begin(lambda: 1 // 0), soon())


def test_what_hangs_is_given_up_and_keeps_nobody() -> None:
    held = threading.Event()
    future = background.begin(held.wait)

    with pytest.raises(RootlessError, match="no answer in time"):
        background.answer(future, soon(0.05))

    held.set()
    assert background.answer(future, soon())


def test_several_hang_at_the_same_time() -> None:
    held = threading.Event()
    begun = time.monotonic()
    futures = [background.begin(held.wait) for _ in range(8)]
    for future in futures:
        with pytest.raises(RootlessError):
            background.answer(future, begun + 0.2)

    assert time.monotonic() - begun < PATIENCE
    held.set()
