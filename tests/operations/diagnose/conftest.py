from __future__ import annotations

from tests.operations.status.conftest import cluster, k3s  # noqa: F401 (fixtures)
