"""What the last start reached and when, as far as it left something behind that tells."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.readiness.milestones import Milestone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cluster.facts import Node
    from k3s_rootless.service.facts import UnitState

NODE_READY = "node ready"


def of_files(state: Path, kubeconfig: Path, started: datetime | None) -> list[Milestone]:
    """Judge the times of what a start makes; `state` is rootlesskit's directory."""
    made = {
        "child namespace made": state / "child_pid",
        "rootlesskit's API socket": state / "api.sock",
        "kubeconfig written": kubeconfig,
    }
    return milestones.of_files({name: changed(path) for name, path in made.items()}, started)


def changed(path: Path) -> tuple[str, datetime | None, str]:
    """Give a file's path, the time of its last change, and why there is none."""
    try:
        return str(path), datetime.fromtimestamp(path.stat().st_mtime, UTC), ""
    except OSError as error:
        return str(path), None, f"{path}: {(error.strerror or str(error)).lower()}"


def of_this_start(
    nodes: Sequence[Node], state: UnitState | None, first: Mapping[str, datetime] | None = None
) -> tuple[Node, ...]:
    """Return the nodes without what a kubelet of an earlier start reported; see
    `heartbeat.judged`.
    """
    from k3s_rootless.cluster import heartbeat
    from k3s_rootless.service.observe import process

    start = None
    if state is not None and state.started is not None:
        start = heartbeat.Running(state.started, datetime.now(UTC), process.elapsed(state.main_pid))
    return heartbeat.judged(nodes, start, first or {})


def of_node(nodes: Observed[tuple[Node, ...]], started: datetime) -> Milestone:
    """Tell when the node became ready, by its own word; a node that a quick restart did not make
    unready tells nothing.
    """
    source = "lastTransitionTime of the node's condition Ready"
    if isinstance(nodes, Unknown):
        return Milestone(NODE_READY, None, source, nodes.reason)
    ready = next((node for node in nodes.value if node.ready), None)
    if ready is None or ready.since is None:
        return Milestone(
            NODE_READY,
            None,
            source,
            "it is not ready" if ready is None else "the node does not say",
        )
    if ready.since + milestones.GRAIN < started:
        return Milestone(
            NODE_READY,
            None,
            source,
            "it has been ready since before this start, and nobody has said otherwise",
        )
    return Milestone(NODE_READY, max(ready.since, started), source)
