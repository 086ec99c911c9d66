"""Fixtures of a user without a session, and of a private bus with a fake user manager."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.session import Session, session

USER = 65534 if os.getuid() == 0 else os.getuid()


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a directory of the tool's user; directories of pytest are accessible to root only."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for path in (directory / "runtime", directory / "config"):
            path.mkdir(mode=0o700)
            os.chown(path, USER, USER)
        yield directory


@pytest.fixture
def bus(home: Path, dbus_daemon: None) -> Iterator[Session]:
    (home / "session").mkdir()
    with session(home / "session", USER) as opened:
        yield opened
