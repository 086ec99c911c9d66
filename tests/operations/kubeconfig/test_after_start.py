"""Tests that a start, and an `up` that changes nothing, refresh the copies of the kubeconfig."""

from __future__ import annotations

import pytest

from k3s_rootless.cluster.kubeconfig import read
from k3s_rootless.operations.kubeconfig import after_start, merge
from k3s_rootless.operations.launch.events import PhaseReached
from k3s_rootless.operations.readiness import phases
from tests.cluster.conftest import Cluster
from tests.fakes.managed_host import TEXT, ManagedHost
from tests.fakes.managed_host import host as managed

SOCKET = PhaseReached(phases.SOCKET, 0.1, 0.1)
WRITTEN = PhaseReached(phases.KUBECONFIG, 0.2, 0.1)


def after(host: ManagedHost, *reached: PhaseReached, by_us: bool) -> object:
    with host.context.manager() as manager:
        return after_start.kubeconfig(host.context, manager, reached, by_us=by_us)


@pytest.mark.usefixtures("dbus_daemon")
def test_the_path_is_known_and_copies_are_refreshed(cluster: Cluster) -> None:
    with managed() as host:
        own = host.context.paths.kubeconfig
        host.install(f"{TEXT.rstrip()} --write-kubeconfig={own}\n")
        own.parent.mkdir()
        cluster.write(own)

        assert own == after(host, SOCKET, WRITTEN, by_us=True)
        assert after(host, SOCKET, by_us=True) is None
        assert after(host, SOCKET, WRITTEN, by_us=False) is None
        request = merge.Request(own.with_name("config"))
        found = read.load(own, uid=host.context.uid)
        merge.merge_from(host.context, request, found, lambda _: None)
        Cluster.make().write(own)
        assert own == after(host, SOCKET, WRITTEN, by_us=False)

        refreshed = f"refreshed the context `k3s-rootless` in {own.with_name('config')}"
        assert [refreshed] == host.notices
