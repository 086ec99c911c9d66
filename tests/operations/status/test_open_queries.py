"""Tests that queries have a time limit, and that a hanging one is not sent a second time."""

from __future__ import annotations

import threading
import time

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.status.open_queries import OpenQueries, within
from tests.patience import HANGS


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def test_the_answer_of_a_query_is_returned() -> None:
    def query() -> Observed[int]:
        return Known(1, "here")

    task = OpenQueries().begin("one", query)

    assert Known(1, "here") == within(task, later(HANGS), "it")


def test_no_answer_in_time_is_unknown() -> None:
    end = threading.Event()

    def query() -> Observed[int]:
        end.wait(HANGS)
        return Known(1)

    task = OpenQueries().begin("one", query)

    assert Unknown("it did not answer in time") == within(task, later(0.01), "it")
    assert Unknown("it did not answer in time") == within(task, later(-1), "it")
    end.set()
    assert Known(1) == within(task, later(HANGS), "it")


def test_an_error_is_the_reason() -> None:
    def query() -> Observed[int]:
        raise RootlessError("it is broken")

    task = OpenQueries().begin("one", query)

    assert Unknown("it is broken") == within(task, later(HANGS), "it")


def test_a_bug_is_not_hidden() -> None:
    def query() -> Observed[int]:
        raise KeyError("x")

    task = OpenQueries().begin("one", query)

    with pytest.raises(KeyError):
        within(task, later(HANGS), "it")


def test_a_query_that_hangs_is_sent_only_once() -> None:
    end = threading.Event()
    count = []

    def query() -> None:
        count.append(1)
        end.wait(HANGS)

    open_queries = OpenQueries()
    first = open_queries.begin("one", query)
    open_queries.drop_answered()
    second = open_queries.begin("one", query)
    open_queries.begin("another", query)
    end.set()
    first.result(HANGS)
    open_queries.drop_answered()
    third = open_queries.begin("one", query)
    third.result(HANGS)

    assert first is second
    assert third is not first
    assert 3 == len(count)
