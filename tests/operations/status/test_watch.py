"""Tests that a watch checks K3s when the unit changes, and reconnects to the user manager."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from k3s_rootless.errors import BusError, NotRunning
from k3s_rootless.operations.status import watch
from k3s_rootless.operations.status.model import Snapshot
from k3s_rootless.operations.status.watch import FollowedUnit
from tests.operations.status.k3s import K3s
from tests.patience import PATIENCE


@contextmanager
def snapshots(k3s: K3s) -> Iterator[Iterator[Snapshot | NotRunning]]:
    end = time.monotonic() + PATIENCE
    yield watch.snapshots(k3s.context, lambda: time.monotonic() > end)


def first(
    found: Iterator[Snapshot | NotRunning], condition: Callable[[Snapshot | NotRunning], bool]
) -> Snapshot | NotRunning:
    return next(one for one in found if condition(one))


def is_(word: str) -> Callable[[Snapshot | NotRunning], bool]:
    return lambda one: isinstance(one, Snapshot) and one.overall_state == word


def test_a_change_of_the_unit_is_seen(k3s: K3s) -> None:
    with snapshots(k3s) as found:
        first(found, is_("not running"))
        k3s.runs()
        k3s.bus.signal_change()
        first(found, is_("running, not ready"))


def test_a_unit_that_is_removed_and_installed_again(k3s: K3s) -> None:
    text = k3s.unit.read_text()
    with snapshots(k3s) as found:
        first(found, is_("not running"))
        k3s.bus.reset()
        k3s.bus.signal_change()
        error = first(found, lambda one: isinstance(one, NotRunning))
        k3s.bus.reset()
        k3s.write_unit(text)
        k3s.bus.signal_change()
        first(found, is_("not running"))

    assert isinstance(error, NotRunning)
    assert "K3s is not installed for this user" == error.message


def test_a_lost_user_manager_is_reconnected(k3s: K3s) -> None:
    with snapshots(k3s) as found:
        first(found, is_("not running"))
        k3s.bus.kill_bus()
        lost = first(found, is_("unknown"))
        k3s.restart_bus()
        again = first(found, is_("not running"))

    assert isinstance(lost, Snapshot)
    assert lost.problem is not None
    assert isinstance(again, Snapshot)
    assert again.problem is None


def test_a_watch_ends_when_its_reader_has_exited(k3s: K3s) -> None:
    count = itertools.count()

    found = list(watch.snapshots(k3s.context, lambda: next(count) >= 2))

    assert 2 == len(found)


def test_the_unit_is_followed_by_its_signals(k3s: K3s) -> None:
    followed = FollowedUnit(k3s.context)
    assert "inactive" == followed.state().active_state
    followed.changed.clear()
    k3s.runs()
    k3s.bus.signal_change()

    assert followed.changed.wait(PATIENCE)
    assert "active" == followed.state().active_state


def test_a_silent_manager_is_an_error_after_the_time_limit(k3s: K3s) -> None:
    k3s.bus.order(mute=["GetAll", "LoadUnit"])
    followed = FollowedUnit(k3s.context)

    with pytest.raises(BusError, match="no answer"):
        followed.state()
