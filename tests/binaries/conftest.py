"""Fixtures of the tests of releases: a TLS server with K3s's layout, and a client for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from k3s_rootless.binaries.https import Client
from tests.fakes.release_server import LIMITS, ReleaseServer, release_server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Iterator[ReleaseServer]:
    with release_server(tmp_path, authority) as running:
        yield running


@pytest.fixture
def client(server: ReleaseServer) -> Client:
    return Client(server.environ, LIMITS)


@pytest.fixture
def own() -> Iterator[Path]:
    """Yield a directory that only the user can change, on the way to it as well."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-", dir=_private()) as name:
        yield Path(name)


def _private() -> Path:
    """Return a directory whose parents only root and the user can change."""
    return Path(os.environ.get("TMPDIR", "/tmp"))
