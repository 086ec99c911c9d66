"""Fixtures of the tests of release operations: a user's home, and a server with releases."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import Paths
from tests.fakes.release_server import ReleaseServer, release_server

UID = os.getuid() or 1000


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Iterator[ReleaseServer]:
    with release_server(tmp_path, authority) as running:
        yield running


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a directory that only the user can change, on the way to it as well."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        yield Path(name)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def context(home: Path, server: ReleaseServer, events: list[Event]) -> Context:
    """Return the context of a user without a session."""
    paths = Paths(home / "root", home, home / "run", home / "config")
    environ = {"PATH": str(home / "path"), **server.environ}
    return Context(paths, environ, UID, "alice", events.append)
