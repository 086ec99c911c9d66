"""Check which release the node of a ready K3s reports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless.cluster import api
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.readiness.start import QUERY_SECONDS, Start

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

SECONDS = 5.0
"""The time limit for the report: the kubelet updates its node shortly after its start."""
_PAUSE = 0.2


def release(context: Context, state: UnitState) -> str | None:
    """Return the release that a ready node reports now; None if none does."""
    start = Start.of(context, state, None)
    try:
        found = api.nodes(start.find_api(), QUERY_SECONDS)
    except RootlessError:
        return None
    if isinstance(found, Unknown):
        return None
    return next((node.version for node in found.value.items if node.ready), None)


def require(context: Context, state: UnitState, wanted: str) -> None:
    """Wait until a ready node reports this release. Raises RootlessError if it reports another.

    K3s without an agent has no node to report it.
    """
    if server_settings.of(context, state).agentless:
        return  # there is no node
    deadline = time.monotonic() + SECONDS
    while True:
        found = release(context, state)
        if found is not None and same(found, wanted):
            return
        if time.monotonic() >= deadline:
            raise RootlessError(
                f"the node is ready, but it reports K3s {found or 'of unknown version'}, not"
                f" {wanted}",
                hint="see which k3s the unit starts: k3s-rootless status",
            )
        time.sleep(_PAUSE)


def same(one: str, other: str) -> bool:
    """Return whether two texts name the same release."""
    first, second = version.parse(one), version.parse(other)
    return one == other or (first is not None and first == second)
