"""Queries to the API server: its readiness, its node, and the Deployments of kube-system.

Answers are checked by hand, because pydantic alone would cost `status` more time than everything
else together.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from k3s_rootless.cluster.facts import Deployment, Listed, Node, Readiness
from k3s_rootless.errors import PeerError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.printable import printable
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.rest import Peer

READYZ = "/readyz?verbose"
NODES = "/api/v1/nodes?limit=100"
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments?limit=500"
T = TypeVar("T")
# `[-]poststarthook/rbac/bootstrap-roles failed: reason withheld` (Kubernetes
# apiserver/pkg/server/healthz, v1.21 to v1.36).
_FAILING = re.compile(r"^\[-\](?P<name>\S+)", re.MULTILINE)


def readyz(peer: Peer, timeout: float) -> Observed[Readiness]:
    """Query whether the API server is ready; `timeout` is in seconds.

    500 means that the API server is not ready. Unknown if the API server cannot be reached, or
    answers with another status except 200 (401: it does not accept our certificate).
    """
    try:
        answer = peer.get(READYZ, timeout=timeout)
    except PeerError as error:
        return Unknown(error.message)
    if answer.status == 200:
        return Known(Readiness(ready=True, certificate=answer.certificate), READYZ)
    failing = tuple(
        printable(name) for name in _FAILING.findall(answer.body.decode("utf-8", "replace"))
    )
    if answer.status == 500 and failing:
        return Known(
            Readiness(ready=False, failing=failing, certificate=answer.certificate), READYZ
        )
    return Unknown(f"the API server refused the request: {refusal(answer)}")


def node_ready(peer: Peer, timeout: float) -> Observed[tuple[Node, ...]]:
    """Query the nodes (rootless K3s has one) and their `Ready` condition.

    `timeout` is in seconds. The list is empty until the node is registered. Unknown if the API
    server cannot be reached, refuses, or does not return a list of nodes.
    """
    found = nodes(peer, timeout)
    if isinstance(found, Unknown):
        return found
    return Known(found.value.items, found.source)


def nodes(peer: Peer, timeout: float) -> Observed[Listed[Node]]:
    """Query the nodes as `node_ready` does, and keep the version."""
    return _listed(peer, NODES, "NodeList", _node, timeout)


def deployments(peer: Peer, timeout: float) -> Observed[Listed[Deployment]]:
    """Query the Deployments of the namespace kube-system; see `node_ready`."""
    return _listed(peer, DEPLOYMENTS, "DeploymentList", _deployment, timeout)


def wait_change(peer: Peer, listing: str, version: str, seconds: float) -> bool:
    """Watch the objects of `listing` from `version` on; return whether one changed in `seconds`.

    If the API server no longer has the version, this counts as a change: list the objects again.
    Raises PeerError if the API server ends the watch for another reason.
    """
    query = f"watch=1&resourceVersion={quote(version)}&timeoutSeconds={max(1, round(seconds))}"
    path = f"{listing.partition('?')[0]}?{query}"
    with closing(peer.stream(path, timeout=seconds)) as lines:
        return next(lines, None) is not None


def _listed(
    peer: Peer, path: str, kind: str, read: Callable[[Any], T], timeout: float
) -> Observed[Listed[T]]:
    try:
        answer = peer.get(path, timeout=timeout)
    except PeerError as error:
        return Unknown(error.message)
    if answer.status != 200:
        return Unknown(f"the API server refused the request: {refusal(answer)}")
    no_list = Unknown(
        f"the API server did not return a list of {path.partition('?')[0].rpartition('/')[2]}"
    )
    try:
        listed = json.loads(answer.body)
        if listed["kind"] != kind:
            return no_list
        version = _text((listed.get("metadata") or {}).get("resourceVersion") or "")
        return Known(Listed(tuple(read(one) for one in listed.get("items") or ()), version), path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return no_list


def _deployment(deployment: Any) -> Deployment:  # noqa: ANN401 (parsed JSON)
    status = deployment.get("status") or {}
    # A condition can belong to an older state of the Deployment (Kubernetes, "Deployment status":
    # observedGeneration).
    observed = status.get("observedGeneration", 0)
    condition = _condition(status, "Available")
    current = observed >= deployment["metadata"].get("generation", 0)
    available = condition.get("status") == "True" and current
    name = printable(_text(deployment["metadata"]["name"]))
    if available:
        return Deployment(name, available)
    return Deployment(name, available, _reason(condition))


def _node(node: Any) -> Node:  # noqa: ANN401 (parsed JSON)
    status = node.get("status") or {}
    condition = _condition(status, "Ready")
    ready = {"True": True, "False": False}.get(condition.get("status", ""))
    reason = ""
    if not ready:
        reason = _reason(condition)
    return Node(
        name=printable(_text(node["metadata"]["name"])),
        ready=ready,
        version=printable(_text((status.get("nodeInfo") or {}).get("kubeletVersion") or "")),
        reason=reason,
        since=_time(condition.get("lastTransitionTime")),
        reported=_time(condition.get("lastHeartbeatTime")),
    )


def _condition(status: Any, kind: str) -> dict[str, Any]:  # noqa: ANN401 (parsed JSON)
    """Return the condition of a kind; empty if it is missing."""
    for condition in status.get("conditions") or ():
        if condition["type"] == kind:
            found: dict[str, Any] = condition
            return found
    return {}


def _reason(condition: dict[str, Any]) -> str:
    """Return why a condition is not met."""
    reason = condition.get("message") or condition.get("reason") or "no status was reported yet"
    return printable(_text(reason))


def _time(value: Any) -> datetime | None:  # noqa: ANN401 (parsed JSON)
    # metav1.Time is RFC 3339 in UTC, in whole seconds.
    try:
        found = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    if found.tzinfo is None:
        return None
    return found.astimezone(UTC)


def _text(value: Any) -> str:  # noqa: ANN401 (parsed JSON)
    if not isinstance(value, str):
        raise TypeError(value)
    return value
