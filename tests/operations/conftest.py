"""Fixtures of an ordinary user with a private bus, a fake user manager and an event listener."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import Paths
from k3s_rootless.service.systemd import client
from tests.fakes.impatient import RETURN_SECONDS
from tests.fakes.managed_host import ManagedHost
from tests.fakes.managed_host import host as managed
from tests.fakes.session import Session, session
from tests.fakes.user import USER, ordinary_user


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a home directory of the user; directories of pytest are accessible to root only."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for path in (directory / "config", directory / "root", directory / "bin"):
            path.mkdir()
            os.chown(path, USER, USER)
        os.chown(directory, USER, USER)
        yield directory


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for a lost user manager; tests/cli/test_bad_bus.py has the wait of users."""
    monkeypatch.setattr(client, "RETURN_SECONDS", RETURN_SECONDS)


@pytest.fixture
def bus(home: Path, dbus_daemon: None) -> Iterator[Session]:
    """Yield a private bus with a fake user manager, which has its own unit directory."""
    (home / "session").mkdir()
    with session(home / "session", USER) as opened:
        (opened.directory / "user").symlink_to(opened.units)
        yield opened


@pytest.fixture
def events() -> list[Event]:
    """Return the list of events that an operation has sent so far."""
    return []


@pytest.fixture
def context(home: Path, bus: Session, events: list[Event]) -> Iterator[Context]:
    """Yield the context of an ordinary user on the private bus."""
    with ordinary_user() as uid:
        paths = Paths(home / "root", home, bus.runtime, home / "config")
        environ = {"PATH": str(home / "bin")}
        yield Context(paths, environ, uid, "alice", events.append)


@pytest.fixture
def host(dbus_daemon: None) -> Iterator[ManagedHost]:
    """Yield a host with a user manager, which most operations need."""
    with managed() as one:
        yield one
