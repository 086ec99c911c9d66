"""The JSON that commands print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def require_one(printed: str, name: str) -> None:
    """Assert that a command printed one document of its schema, and no error in it."""
    assert [] == _document(printed, name)["errors"]


def require_only(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Assert that a command printed one document of its schema, and nothing to stderr."""
    out, err = capsys.readouterr()
    _document(out, name)
    assert "" == err


def _document(printed: str, name: str) -> Any:
    document = json.loads(printed)
    assert f"k3s-rootless/{name}/v1" == document["schema"]
    return document
