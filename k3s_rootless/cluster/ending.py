"""Change what runs in the cluster: end Pods, and let no new ones start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from k3s_rootless.cluster.pods import CORDON_MARK
from k3s_rootless.errors import PeerError
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from k3s_rootless.cluster.facts import Pod
    from k3s_rootless.rest import TlsPeer

_PATCH = "application/merge-patch+json"
_OPTIONS = {"kind": "DeleteOptions", "apiVersion": "v1"}
_SECONDS = 10.0
_DONE = frozenset({200, 202})
_GONE = frozenset({404, 409})
"""The Pod does not exist any more, or another Pod has its name."""


def end(peer: TlsPeer, pod: Pod) -> None:
    """Ask a Pod to end within its own grace period. Raises PeerError."""
    path = f"/api/v1/namespaces/{quote(pod.namespace)}/pods/{quote(pod.name)}"
    body = json.dumps({**_OPTIONS, "preconditions": {"uid": pod.uid}}).encode()
    answer = peer.change("DELETE", path, body, "application/json", timeout=_SECONDS)
    if answer.status not in _DONE | _GONE:
        raise PeerError(f"cannot end the Pod {pod.text}: {refusal(answer)}", status=answer.status)


def cordon(peer: TlsPeer, node: str, *, on: bool) -> None:
    """Let no new Pod start on a node, and mark it, or allow that again. Raises PeerError."""
    mark, unschedulable = ("true", True) if on else (None, None)
    change = {
        "metadata": {"annotations": {CORDON_MARK: mark}},
        "spec": {"unschedulable": unschedulable},
    }
    answer = peer.change(
        "PATCH",
        f"/api/v1/nodes/{quote(node)}",
        json.dumps(change).encode(),
        _PATCH,
        timeout=_SECONDS,
    )
    if answer.status not in _DONE:
        raise PeerError(f"cannot change the node {node}: {refusal(answer)}", status=answer.status)
