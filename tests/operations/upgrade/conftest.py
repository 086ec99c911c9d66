"""Fixtures of the tests of upgrades."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from k3s_rootless.operations.context import Context
from tests.fakes.release_server import ReleaseServer, release_server
from tests.fakes.session import Session
from tests.fakes.user import USER
from tests.operations.upgrade.k3s import BEFORE, NEW, NEXT, OLD, SKIPPING, World

_MEMORY = Path("/dev/shm")


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a home directory; in memory if possible, because an upgrade syncs many files."""
    usable = os.access(_MEMORY, os.W_OK) and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    memory = str(_MEMORY) if usable else None
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-", dir=memory) as name:
        directory = Path(name)
        directory.chmod(0o755)
        for path in (directory / "config", directory / "root", directory / "bin"):
            path.mkdir()
            os.chown(path, USER, USER)
        os.chown(directory, USER, USER)
        yield directory


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the authority of the server's certificate."""
    return trustme.CA()


@pytest.fixture
def server(home: Path, authority: trustme.CA) -> Iterator[ReleaseServer]:
    """Yield a server with five releases."""
    with release_server(home / "config", authority) as running:
        for release in (NEW, OLD, NEXT, SKIPPING, BEFORE):
            running.publish(release)
        running.channels |= {"v1.35": OLD, "v1.36": NEXT, "latest": SKIPPING}
        yield running


@pytest.fixture
def world(context: Context, bus: Session, server: ReleaseServer) -> World:
    """Return a running K3s."""
    context = replace(context, environ={**context.environ, **server.environ})
    return World(context, bus).make()
