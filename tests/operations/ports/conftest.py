from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.fakes.session import session
from tests.fakes.user import USER, ordinary_user
from tests.operations.ports.k3s import K3s


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.make()


@pytest.fixture
def k3s(cluster: Cluster, dbus_daemon: None) -> Iterator[K3s]:
    """Yield a running K3s of an ordinary user, and run this process as that user."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name, ExitStack() as opened:
        place = Path(name)
        place.chmod(0o777)
        (place / "session").mkdir()
        bus = opened.enter_context(session(place / "session", USER, manager=False))
        opened.enter_context(ordinary_user())
        bus.start_manager()
        made = K3s(place, bus, cluster, opened)
        made.starts()
        yield made
