"""Tests that signals are delayed, that one is allowed where the work can end, and their end."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from k3s_rootless import interruption


def send(number: signal.Signals) -> None:
    """Send a signal to this process; its handler runs before this function returns."""
    os.kill(os.getpid(), number)
    signal.getsignal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_delayed_until_the_end(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done = []

    def work() -> None:
        with interruption.delayed():
            send(number)
            send(number)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all"]
    assert signal.getsignal(number) is before


def test_an_allowed_signal_interrupts_once() -> None:
    done = []

    def work() -> None:
        with interruption.delayed() as signals:
            try:
                with signals.allowed():
                    send(signal.SIGTERM)
                    done.append("not reached")
            finally:
                send(signal.SIGTERM)
                done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["cleaned up"]


def test_an_earlier_signal_interrupts_where_it_is_allowed() -> None:
    done = []

    def work() -> None:
        with interruption.delayed() as signals:
            send(signal.SIGTERM)
            done.append("first")
            with signals.allowed():
                done.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first"]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption.delayed() as signals:
            send(signal.SIGHUP)
        assert not signals.arrived
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_of_the_work_is_raised() -> None:
    def work() -> None:
        with interruption.delayed():
            send(signal.SIGTERM)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()


def test_another_thread_handles_no_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with interruption.delayed() as signals, signals.allowed():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [before]
