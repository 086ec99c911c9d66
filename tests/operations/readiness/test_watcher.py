"""Tests of the thread that checks the phases.

Its results can be read at any time, without waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from k3s_rootless.operations.readiness.phases import Phase
from k3s_rootless.operations.readiness.wait import Condition
from k3s_rootless.operations.readiness.watcher import Observer
from tests.patience import HANGS, PATIENCE

LONG = HANGS


class Woken:
    """Counter of wake-ups, with a method that waits for a count."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, LONG)


API, SOCKET = Phase("api", "api", "api"), Phase("socket", "socket", "socket")


def gate(opened: threading.Event, name: str = "gate") -> Condition:
    phase = Phase(name, name, name)
    return Condition(phase, lambda: None if opened.is_set() else "it is shut", opened.wait)


def test_phases_are_checked_in_order() -> None:
    woken, first, second = Woken(), threading.Event(), threading.Event()
    second.set()
    observer = Observer([gate(first, "first"), gate(second, "second")], woken)
    known = observer.conditions()

    assert known[1].missing() == "not checked yet"
    first.set()
    woken.wait(2)

    assert [None, None] == [one.missing() for one in known]
    assert observer.waits_for() is None
    assert ["first", "second"] == [one.phase.key for one in known]


def test_a_query_that_hangs_does_not_block_the_caller() -> None:
    hangs, checked = threading.Event(), threading.Event()

    def missing() -> str | None:
        checked.set()
        return None if hangs.wait(LONG) else "no"

    observer = Observer([Condition(API, missing)], lambda: None)
    begun = time.monotonic()

    checked.wait(LONG)
    assert observer.conditions()[0].missing() == "no answer yet"
    assert time.monotonic() - begun < PATIENCE
    hangs.set()


def test_the_missing_phase_is_reported_until_it_is_reached() -> None:
    checked = threading.Event()

    def missing() -> str:
        checked.set()
        return "etcd"

    observer = Observer([Condition(API, missing)], lambda: None)
    assert checked.wait(LONG)
    time.sleep(0.05)
    waiting = observer.waits_for()
    observer.stop()

    assert waiting is not None
    assert ("api", "etcd") == (waiting[0].name, waiting[1])


def test_an_unexpected_error_reaches_the_caller() -> None:
    woken = Woken()
    observer = Observer([Condition(API, lambda: str(1 // 0))], woken)
    woken.wait(1)

    with pytest.raises(ZeroDivisionError):
        observer.conditions()[0].missing()


def test_an_early_signal_is_followed_by_another_check_soon() -> None:
    """A socket is bound before the server listens.

    The look immediately after the notification therefore finds nothing.
    """
    answers: Iterator[str | None] = iter(["not there", "nobody listens", "nobody listens", None])
    signals = iter([True, False, False])
    woken = Woken()
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return next(signals)

    Observer([Condition(SOCKET, lambda: next(answers), wait=wait)], woken)
    woken.wait(1)

    assert waits[1] <= waits[0]
    assert waits[2] < 0.25


def test_a_stopped_observer_ends_its_thread() -> None:
    observer = Observer([Condition(API, lambda: "never")], lambda: None)
    observer.stop()
    deadline = time.monotonic() + LONG
    while (
        any(thread.name == "observer" for thread in threading.enumerate())
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)

    assert "observer" not in [thread.name for thread in threading.enumerate()]
