"""Queries to the API server about Pods and about the node that they run on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.facts import Pod
from k3s_rootless.errors import PeerError
from k3s_rootless.printable import printable
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from k3s_rootless.rest import Peer

CORDON_MARK = "k3s-rootless/cordoned"
"""The annotation of a node on which k3s-rootless lets no new Pod start."""
_PODS = "/api/v1/pods"
_NODES = "/api/v1/nodes?limit=10"
ENDED = frozenset({"Succeeded", "Failed"})
"""The phases of a Pod that has ended."""
_MIRROR = "kubernetes.io/config.mirror"
_DEFAULT_GRACE = 30
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Whether new Pods can start on a node; `marked` is true if k3s-rootless prevents it."""

    node: str
    cordoned: bool
    marked: bool


def running(peer: Peer) -> tuple[Pod, ...]:
    """Return the Pods that have been started and have not ended.

    Pods of files (static Pods) are left out: the API server cannot end them. Raises PeerError.
    """
    found = []
    for item in items(peer, _PODS, "PodList"):
        pod = _pod(item)
        if pod is not None:
            found.append(pod)
    return tuple(found)


def schedules(peer: Peer) -> tuple[Schedule, ...]:
    """Return for each node whether new Pods can start there. Raises PeerError."""
    return tuple(_schedule(item) for item in items(peer, _NODES, "NodeList"))


def items(peer: Peer, path: str, kind: str) -> list[Any]:
    """Return the objects of a list. Raises PeerError."""
    answer = peer.get(path, timeout=_SECONDS)
    if answer.status != 200:
        raise PeerError(
            f"the API server refused the request: {refusal(answer)}", status=answer.status
        )
    try:
        listed = json.loads(answer.body)
        if listed["kind"] == kind:
            return list(listed.get("items") or ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise PeerError(f"the API server did not return a {kind}")


def _pod(item: Any) -> Pod | None:  # noqa: ANN401 (parsed JSON)
    try:
        metadata, spec = item["metadata"], item["spec"]
        phase = (item.get("status") or {}).get("phase")
        mirror = _MIRROR in (metadata.get("annotations") or {})
        if phase in ENDED or not spec.get("nodeName") or mirror:
            return None
        owners = metadata.get("ownerReferences") or ()
        grace = spec.get("terminationGracePeriodSeconds")
        return Pod(
            namespace=printable(str(metadata["namespace"])),
            name=printable(str(metadata["name"])),
            uid=str(metadata["uid"]),
            grace=float(_DEFAULT_GRACE if grace is None else grace),
            by_daemon_set=any(one.get("kind") == "DaemonSet" for one in owners),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PeerError("the API server did not return a valid Pod") from None


def _schedule(item: Any) -> Schedule:  # noqa: ANN401 (parsed JSON)
    try:
        metadata = item["metadata"]
        marked = CORDON_MARK in (metadata.get("annotations") or {})
        cordoned = bool((item.get("spec") or {}).get("unschedulable"))
        return Schedule(printable(str(metadata["name"])), cordoned, marked)
    except (KeyError, TypeError, AttributeError):
        raise PeerError("the API server did not return a valid Node") from None
