"""Tests of concurrent calls: each is answered or given up separately."""

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


def test_the_latest_value_is_given_without_a_wait() -> None:
    go_on, put = threading.Event(), threading.Event()

    def follow(value: background.Followed[int]) -> None:
        go_on.wait(PATIENCE)
        value.put(2)
        put.set()

    followed = background.Followed("test", 1, follow)
    before = followed.latest()
    go_on.set()

    assert put.wait(PATIENCE)
    assert (1, 2) == (before, followed.latest())


def test_the_first_value_is_waited_for() -> None:
    def follow(value: background.Followed[str]) -> None:
        value.pause(0.05)
        value.put("known")

    assert "known" == background.Followed("test", "unknown", follow).latest(PATIENCE)


def test_what_a_thread_raises_reaches_the_reader_who_is_woken() -> None:
    woken = threading.Event()

    def follow(value: background.Followed[int]) -> None:
        raise NotRunning(str(value.latest()))

    followed = background.Followed("test", 1, follow, on_failure=woken.set)

    assert woken.wait(PATIENCE)
    with pytest.raises(NotRunning, match="1"):
        followed.latest(PATIENCE)


def test_a_thread_that_is_stopped_ends_its_pause() -> None:
    ended = threading.Event()

    def follow(value: background.Followed[int]) -> None:
        if value.pause(60):
            ended.set()

    background.Followed("test", 1, follow).stop()

    assert ended.wait(PATIENCE)
