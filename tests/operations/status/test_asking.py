"""Tests that queries have a time limit, and that a hanging one is not sent a second time."""

from __future__ import annotations

import threading
import time

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.status.asking import Asking, within
from tests.patience import HANGS


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def test_the_answer_of_a_query_is_returned() -> None:
    def ask() -> Observed[int]:
        return Known(1, "here")

    asked = Asking().begin("one", ask)

    assert Known(1, "here") == within(asked, later(HANGS), "it")


def test_no_answer_in_time_is_unknown() -> None:
    end = threading.Event()

    def ask() -> Observed[int]:
        end.wait(HANGS)
        return Known(1)

    asked = Asking().begin("one", ask)

    assert Unknown("it gave no answer in time") == within(asked, later(0.01), "it")
    assert Unknown("it gave no answer in time") == within(asked, later(-1), "it")
    end.set()
    assert Known(1) == within(asked, later(HANGS), "it")


def test_an_error_is_the_reason() -> None:
    def ask() -> Observed[int]:
        raise RootlessError("it is broken")

    asked = Asking().begin("one", ask)

    assert Unknown("it is broken") == within(asked, later(HANGS), "it")


def test_a_bug_is_not_hidden() -> None:
    def ask() -> Observed[int]:
        raise KeyError("x")

    asked = Asking().begin("one", ask)

    with pytest.raises(KeyError):
        within(asked, later(HANGS), "it")


def test_a_query_that_hangs_is_sent_only_once() -> None:
    end = threading.Event()
    count = []

    def ask() -> None:
        count.append(1)
        end.wait(HANGS)

    asking = Asking()
    first = asking.begin("one", ask)
    asking.drop_answered()
    second = asking.begin("one", ask)
    asking.begin("another", ask)
    end.set()
    first.result(HANGS)
    asking.drop_answered()
    third = asking.begin("one", ask)
    third.result(HANGS)

    assert first is second
    assert third is not first
    assert 3 == len(count)
