"""Rows of `ports --json` on a machine, by their targets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import peers
from tests.e2e.conftest import Tool


def rows(tool: Tool, *options: str) -> dict[str, dict[str, Any]]:
    """Return the rows by their targets; a forward without a target has its port as key."""
    found = tool.json("ports", *options)["ports"]
    return {f"{row['target'] or row['parent_port']}/{row['protocol']}": row for row in found}


def until(tool: Tool, key: str, status: str, *options: str) -> dict[str, Any]:
    """Wait until a row has a status, and return the row."""
    found: dict[str, dict[str, Any]] = {}

    def reached() -> bool:
        found.clear()
        found.update(rows(tool, *options))
        return key in found and found[key]["status"] == status

    try:
        peers.until(reached)
    except AssertionError:
        pytest.fail(f"{key} is not {status}: {found.get(key)}")
    return found[key]


def blind(document: dict[str, Any]) -> dict[str, str]:
    """Return the sources that failed, with the reasons."""
    return {one["source"]: one["reason"] for one in document["unknown_sources"]}
