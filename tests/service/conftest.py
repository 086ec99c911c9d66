from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session, session


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory, dbus_daemon: None) -> Iterator[Session]:
    with session(tmp_path_factory.mktemp("session")) as shared:
        yield shared


@pytest.fixture
def fake(_shared: Session) -> Session:
    """Return the shared fake user manager, reset to its initial state.

    A test that breaks the fake must use `own` instead.
    """
    _shared.reset()
    return _shared


@pytest.fixture
def own(tmp_path: Path, dbus_daemon: None) -> Iterator[Session]:
    """Yield a fake user manager for one test, which may break it."""
    with session(tmp_path) as opened:
        yield opened


@pytest.fixture
def manager(fake: Session) -> Iterator[UserManager]:
    with UserManager({}, fake.runtime, os.getuid()) as opened:
        yield opened
