"""A host with a user manager, for each test of an operation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.managed_host import ManagedHost
from tests.fakes.managed_host import host as opened


@pytest.fixture
def host() -> Iterator[ManagedHost]:
    with opened() as one:
        yield one
