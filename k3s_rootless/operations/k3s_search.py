"""The k3s that the unit of this user would start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.preflight.probes import host

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.preflight.facts import K3sBinary


def found(context: Context, search: str | None = None) -> K3sBinary:
    """Find k3s and run `k3s --version`; `search` is the PATH of the unit, by default K3s's own."""
    return host.k3s_binary(
        context.environ,
        unit_search() if search is None else search,
        context.paths.home,
        own=context.paths.own,
    )


def located(context: Context) -> K3sBinary:
    """Find k3s without running it; its version is not known then."""
    return host.find_k3s(context.environ, unit_search(), context.paths.home, own=context.paths.own)
