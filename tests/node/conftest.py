"""A process in namespaces of its own, as rootlesskit's child."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.child_namespaces import opened


@pytest.fixture
def child() -> Iterator[int]:
    """Yield a process that is the first one of its own namespaces."""
    with opened() as found:
        yield found.pid
