"""Tests of the sources of `ports`, each of which can fail alone."""

from __future__ import annotations

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.ports import sources
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.paths import UNIT
from tests.operations.ports.k3s import K3s, listening, service


def start(k3s: K3s) -> Start:
    return sources.start_of(k3s.context, k3s.context.unit(UNIT))


def test_all_sources_are_read(k3s: K3s) -> None:
    k3s.services.append(service("web", {"port": 80}))

    with listening() as port:
        seen = sources.begin(start(k3s)).result()

    assert isinstance(seen.forwards, Known)
    assert [k3s.port] == [one.parent_port for one in seen.forwards.value]
    assert isinstance(seen.services, Known)
    assert ["web"] == [one.service for one in seen.services.value]
    assert isinstance(seen.listeners, Known)
    assert port in {one.port for one in seen.listeners.value}
    assert Known(()) == seen.pods
    assert [name for name, _ in seen.unread()] == ["child"]


def test_a_process_that_is_not_k3ss_child_is_not_read(k3s: K3s) -> None:
    kit = sources.read_rootlesskit(start(k3s))

    assert isinstance(kit.forwards, Known)
    assert isinstance(kit.inside, Unknown)
    assert "is not in the unit's control group" in kit.inside.reason


def test_without_forwards_the_sockets_inside_have_the_same_reason(k3s: K3s) -> None:
    k3s.forwards.append({"id": "no number"})

    kit = sources.read_rootlesskit(start(k3s))

    assert isinstance(kit.forwards, Unknown)
    assert kit.forwards == kit.inside


def test_a_pod_list_that_fails_leaves_the_other_sources(k3s: K3s) -> None:
    k3s.pods.append("no object")

    seen = sources.begin(start(k3s)).result(everything=True)

    assert isinstance(seen.services, Known)
    assert isinstance(seen.pods, Unknown)
    assert "list of Pods" in seen.pods.reason


def test_how_long_k3s_has_been_running_is_what_systemd_says(k3s: K3s) -> None:
    unknown = sources.running(start(k3s)).seconds
    k3s.starts(seconds_ago=60)
    seconds = sources.running(start(k3s)).seconds

    assert unknown is None
    assert seconds is not None
    assert 60 <= seconds < 120


def test_a_stopped_unit_is_refused(k3s: K3s) -> None:
    k3s.stops()

    with pytest.raises(NotRunning):
        sources.require_running(k3s.context.unit(UNIT))


def test_without_k3s_the_sockets_of_the_host_are_left() -> None:
    seen = sources.without_k3s("it is gone", Known(()))

    assert {"rootlesskit": "it is gone", "services": "it is gone", "child": "it is gone"} == dict(
        seen.unread()
    )
