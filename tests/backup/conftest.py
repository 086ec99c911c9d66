"""Fixture of a cluster with a real datastore."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.cluster import Cluster

_MEMORY = Path("/dev/shm")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Yield a stopped cluster.

    It is in a file system in memory if there is one: a test with 300 kills syncs 20,000 files.
    """
    memory = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-", dir=memory) as name:
        yield Cluster(Path(name)).make()
