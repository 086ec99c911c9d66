from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.fakes.session import session
from tests.fakes.user import USER, ordinary_user
from tests.operations.status.k3s import K3s


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.make()


@pytest.fixture
def k3s(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, dbus_daemon: None) -> Iterator[K3s]:
    """Yield an installed K3s of an ordinary user, and run this process as that user."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}/bin:{os.environ['PATH']}")
        (place / "session").mkdir()
        with (
            session(place / "session", USER, manager=False) as bus,
            ordinary_user(),
        ):
            made = K3s(place, bus, cluster)
            bus.start_manager()
            yield made
