"""Decide from observations what a phase of a start lacks; None if the phase is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3s_rootless.cluster.facts import Deployment, Node, Readiness
    from k3s_rootless.rootlesskit.facts import Forward


def port(forwards: Iterable[Forward], https_port: int) -> str | None:
    """Return what is missing for the forward of the API server's port."""
    for one in forwards:
        if one.parent_port == https_port and one.proto.startswith("tcp"):
            return None
    return f"rootlesskit does not forward port {https_port} yet"


def api(readiness: Readiness) -> str | None:
    """Return why the API server is not ready."""
    if readiness.ready:
        return None
    return f"the API server is not ready: {', '.join(readiness.failing)}"


def node(nodes: Sequence[Node]) -> str | None:
    """Return why no node is ready."""
    if any(one.ready for one in nodes):
        return None
    reasons = [f"node {one.name}: {one.reason}" for one in nodes]
    return "; ".join(reasons) or "no node has registered yet"


def deployments(found: Sequence[Deployment], expected: Observed[frozenset[str]]) -> str | None:
    """Return which of the Deployments packaged with K3s are not available."""
    if isinstance(expected, Unknown) and not found:
        reason = f"the expected Deployments are not known: {expected.reason}"
        return f"there is no Deployment yet, and {reason}"
    reasons = [f"{one.name}: {one.reason}" for one in found if not one.available]
    if isinstance(expected, Known):
        absent = sorted(expected.value - {one.name for one in found})
        reasons += [f"{name}: not created yet" for name in absent]
    return "; ".join(reasons) or None
