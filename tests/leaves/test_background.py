"""Tests of concurrent calls: each has its own result or timeout."""

from __future__ import annotations

import threading
import time

import pytest

from k3s_rootless import background
from k3s_rootless.errors import NotRunning, RootlessError
from tests.patience import PATIENCE


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


def test_the_result_is_returned() -> None:
    assert 42 == background.answer(background.begin(lambda: 42), soon())


def test_our_own_errors_are_raised_unchanged() -> None:
    def query() -> None:
        raise NotRunning("not now", hint="later")

    with pytest.raises(NotRunning) as raised:
        background.answer(background.begin(query), soon())

    assert "later" == raised.value.hint


def test_an_unexpected_error_does_not_affect_other_queries() -> None:
    with pytest.raises(RootlessError, match="internal error: ZeroDivisionError"):
        background.answer(background.begin(lambda: 1 // 0), soon())


def test_a_hanging_query_times_out_and_its_result_can_be_read_later() -> None:
    held = threading.Event()
    future = background.begin(held.wait)

    with pytest.raises(RootlessError, match="no answer within the time limit"):
        background.answer(future, soon(0.05))

    held.set()
    assert background.answer(future, soon())


def test_several_queries_hang_at_the_same_time() -> None:
    held = threading.Event()
    begun = time.monotonic()
    futures = [background.begin(held.wait) for _ in range(8)]
    for future in futures:
        with pytest.raises(RootlessError):
            background.answer(future, begun + 0.2)

    assert time.monotonic() - begun < PATIENCE
    held.set()


def test_the_latest_value_is_returned_without_a_wait() -> None:
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


def test_the_first_value_is_awaited() -> None:
    def follow(value: background.Followed[str]) -> None:
        value.pause(0.05)
        value.put("known")

    assert "known" == background.Followed("test", "unknown", follow).latest(PATIENCE)


def test_an_error_of_the_thread_wakes_the_reader() -> None:
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
