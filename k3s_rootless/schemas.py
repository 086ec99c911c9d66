"""The names of the JSON documents, with the version of their schema."""

from __future__ import annotations

_CHANGED = {
    "check": 2,
    "diagnose": 2,
    "env-get": 2,
    "env-list": 2,
    "env-set": 2,
    "phases": 2,
    "ports": 2,
    "ports-plan": 2,
    "restart-event": 2,
    "up-event": 2,
}
"""The documents with renamed keys or values, and their version; all others are version 1."""


def name(document: str) -> str:
    """Return the value of `schema` for a document, such as `k3s-rootless/check/v2`."""
    return f"k3s-rootless/{document}/v{_CHANGED.get(document, 1)}"
