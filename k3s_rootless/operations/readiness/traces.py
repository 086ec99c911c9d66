"""Read the milestones of the last start from files and from the cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.cluster import heartbeat
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.readiness.phases import (
    KUBECONFIG_WRITTEN,
    NAMESPACE_MADE,
    NODE_READY,
    SOCKET_MADE,
)
from k3s_rootless.service.observe import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cluster.facts import Node
    from k3s_rootless.service.facts import UnitState


def of_files(state: Path, kubeconfig: Path, started: datetime | None) -> list[Milestone]:
    """Return the milestones that the files of a start show; `state` is rootlesskit's directory."""
    made = {
        NAMESPACE_MADE: state / "child_pid",
        SOCKET_MADE: state / "api.sock",
        KUBECONFIG_WRITTEN: kubeconfig,
    }
    return milestones.of_files({name: changed(path) for name, path in made.items()}, started)


def changed(path: Path) -> tuple[str, datetime | None, str]:
    """Return a file's path, the time of its last change or None, and why there is no time."""
    try:
        return str(path), datetime.fromtimestamp(path.stat().st_mtime, UTC), ""
    except OSError as error:
        return str(path), None, f"{path}: {(error.strerror or str(error)).lower()}"


def of_this_start(
    nodes: Sequence[Node], state: UnitState | None, first: Mapping[str, datetime] | None = None
) -> tuple[Node, ...]:
    """Return the nodes without the reports of an earlier kubelet; see `heartbeat.judged`."""
    start = None
    if state is not None and state.started is not None:
        start = heartbeat.Running(state.started, datetime.now(UTC), process.elapsed(state.main_pid))
    return heartbeat.judged(nodes, start, first or {})


def of_node(nodes: Observed[tuple[Node, ...]], started: datetime) -> Milestone:
    """Return when the node became ready, as its condition reports it.

    There is no time if a quick restart did not make the node unready.
    """
    source = "lastTransitionTime of the node's condition Ready"
    if isinstance(nodes, Unknown):
        return Milestone(NODE_READY, None, source, nodes.reason)
    ready = next((node for node in nodes.value if node.ready), None)
    if ready is None:
        return Milestone(NODE_READY, None, source, "the node is not ready")
    if ready.since is None:
        return Milestone(NODE_READY, None, source, "the condition has no time")
    if ready.since + milestones.GRAIN < started:
        reason = "the condition has been true since before this start"
        return Milestone(NODE_READY, None, source, reason)
    return Milestone(NODE_READY, max(ready.since, started), source)
