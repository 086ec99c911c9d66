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
        observed = sources.begin(start(k3s)).result()

    assert isinstance(observed.forwards, Known)
    assert [k3s.port] == [one.parent_port for one in observed.forwards.value]
    assert isinstance(observed.services, Known)
    assert ["web"] == [one.service for one in observed.services.value]
    assert isinstance(observed.listeners, Known)
    assert port in {one.port for one in observed.listeners.value}
    assert Known(()) == observed.pods
    assert [name for name, _ in observed.unread()] == ["child"]


def test_a_process_that_is_not_k3ss_child_is_not_read(k3s: K3s) -> None:
    kit = sources.read_rootlesskit(start(k3s))

    assert isinstance(kit.forwards, Known)
    assert isinstance(kit.inside, Unknown)
    assert "is not in the control group of the unit" in kit.inside.reason


def test_without_forwards_the_sockets_inside_have_the_same_reason(k3s: K3s) -> None:
    k3s.forwards.append({"id": "no number"})

    kit = sources.read_rootlesskit(start(k3s))

    assert isinstance(kit.forwards, Unknown)
    assert kit.forwards == kit.inside


def test_a_pod_list_that_fails_leaves_the_other_sources(k3s: K3s) -> None:
    k3s.pods.append("no object")

    observed = sources.begin(start(k3s)).result(everything=True)

    assert isinstance(observed.services, Known)
    assert isinstance(observed.pods, Unknown)
    assert "list of Pods" in observed.pods.reason


def test_the_running_time_is_that_of_systemd(k3s: K3s) -> None:
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
    observed = sources.without_k3s("it is gone", Known(()))

    assert {"rootlesskit": "it is gone", "services": "it is gone", "child": "it is gone"} == dict(
        observed.unread()
    )
