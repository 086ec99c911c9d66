from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.session import Session, session


@pytest.fixture
def fifos() -> Iterator[list[Path]]:
    """Yield FIFOs on which readers hang; at the end, the readers can continue."""
    opened: list[Path] = []
    yield opened
    for path in opened:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0) as end:
            end.write(b"\n")


@pytest.fixture
def bus(tmp_path: Path, dbus_daemon: None) -> Iterator[Session]:
    """Yield a private bus with a fake user manager."""
    with session(tmp_path / "session") as opened:
        yield opened
