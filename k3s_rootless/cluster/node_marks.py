"""Reader of the labels and taints of the nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster import api
from k3s_rootless.cluster.facts import NodeMarks
from k3s_rootless.errors import PeerError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.printable import printable
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from k3s_rootless.rest import Peer


def read(peer: Peer, timeout: float) -> Observed[tuple[NodeMarks, ...]]:
    """Query the labels and taints of the nodes; `timeout` is in seconds."""
    try:
        answer = peer.get(api.NODES, timeout=timeout)
    except PeerError as error:
        return Unknown(error.message)
    if answer.status != 200:
        return Unknown(f"the API server refused the request: {refusal(answer)}")
    try:
        listed = json.loads(answer.body)
        return Known(tuple(_marks(one) for one in listed.get("items") or ()), api.NODES)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Unknown("the API server did not return a list of nodes")


def _marks(node: Any) -> NodeMarks:  # noqa: ANN401 (parsed JSON)
    metadata = node["metadata"]
    taints = (node.get("spec") or {}).get("taints") or ()
    labels = metadata.get("labels") or {}
    return NodeMarks(
        printable(str(metadata["name"])),
        {str(key): str(value) for key, value in labels.items()},
        {(str(one["key"]), str(one["effect"])): str(one.get("value") or "") for one in taints},
    )
