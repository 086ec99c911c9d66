"""The JSON that commands print."""

from __future__ import annotations

import json


def require_one(printed: str, name: str) -> None:
    """Assert that a command printed one document of its schema, and no error in it."""
    document = json.loads(printed)
    assert (f"k3s-rootless/{name}/v1", []) == (document["schema"], document["errors"])
