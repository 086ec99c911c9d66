"""Tests of watched Services with an API server that fails, loses its history and recovers."""

from __future__ import annotations

import time
from collections.abc import Callable

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.ports import sources
from k3s_rootless.operations.ports.followed_services import FollowedServices
from k3s_rootless.paths import UNIT
from tests.operations.ports.k3s import K3s, service
from tests.patience import PATIENCE


def followed(k3s: K3s) -> FollowedServices:
    return FollowedServices(sources.start_of(k3s.context, k3s.context.unit(UNIT)))


def names(one: FollowedServices) -> list[str] | str:
    current = one.current()
    if isinstance(current, Unknown):
        return current.reason
    return [port.service for port in current.value]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_call_waits_for_the_first_list(k3s: K3s) -> None:
    k3s.services += [service("web", {"port": 80}), service("db", {"port": 90}, {"port": 91})]

    one = followed(k3s)

    assert ["web", "db", "db"] == names(one)
    assert one.current() is one.current()
    one.stop()


def test_changes_are_known_without_another_list(k3s: K3s) -> None:
    one = followed(k3s)
    assert [] == names(one)

    k3s.change("ADDED", service("web", {"port": 80}))
    until(lambda: names(one) == ["web"])
    k3s.change("MODIFIED", service("web", {"port": 80}, {"port": 81}))
    until(lambda: names(one) == ["web", "web"])
    k3s.change("DELETED", service("web", {"port": 80}))
    until(lambda: names(one) == [])
    one.stop()

    assert 1 == sum("watch=1" not in path for path in k3s.api.requested)


def test_after_an_expired_version_the_services_are_listed_again(k3s: K3s) -> None:
    one = followed(k3s)
    assert [] == names(one)
    k3s.services.append(service("web", {"port": 80}))

    k3s.change("ERROR", {"code": 410, "message": "too old resource version"})

    until(lambda: names(one) == ["web"])
    one.stop()


def test_a_server_that_refuses_is_queried_again_until_it_answers(k3s: K3s) -> None:
    k3s.api_status = 503
    one = followed(k3s)

    assert "the server is busy" in names(one)
    assert isinstance(one.current(), Unknown)
    k3s.api_status = 200
    until(lambda: isinstance(one.current(), Known))
    one.stop()
