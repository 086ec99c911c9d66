"""Queries to the API server about NetworkPolicies, and about the addresses of Pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.pods import ENDED, items
from k3s_rootless.cluster.policies.facts import (
    BURST,
    LIMIT,
    Direction,
    Expression,
    PodAddresses,
    Policy,
)
from k3s_rootless.errors import PeerError
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3s_rootless.rest import Peer

_POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
_PODS = "/api/v1/pods"


def policies(peer: Peer) -> tuple[Policy, ...]:
    """Return the NetworkPolicies of all namespaces, sorted. Raises PeerError."""
    found = [_policy(one) for one in items(peer, _POLICIES, "NetworkPolicyList")]
    return tuple(sorted(found, key=lambda one: (one.namespace, one.name)))


def pods(peer: Peer) -> tuple[PodAddresses, ...]:
    """Return the Pods that have an address of their own, and have not ended. Raises PeerError.

    K3s applies no policy to other Pods (kube-router, isNetPolActionable).
    """
    found = [_pod(one) for one in items(peer, _PODS, "PodList")]
    return tuple(one for one in found if one is not None)


def _policy(item: Any) -> Policy:  # noqa: ANN401 (parsed JSON)
    try:
        metadata, spec = item["metadata"], item.get("spec") or {}
        selector = spec.get("podSelector") or {}
        annotations = metadata.get("annotations") or {}
        return Policy(
            printable(str(metadata["namespace"])),
            printable(str(metadata["name"])),
            _directions(spec),
            (*_labels(selector), *_expressions(selector)),
            printable(str(annotations.get(LIMIT, ""))),
            printable(str(annotations.get(BURST, ""))),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PeerError("the API server did not return a valid NetworkPolicy") from None


def _directions(spec: Mapping[str, Any]) -> frozenset[Direction]:
    # The API server sets policyTypes itself; the default is Ingress.
    named = spec.get("policyTypes") or [Direction.INGRESS.value]
    return frozenset(Direction(one) for one in named)


def _labels(selector: Mapping[str, Any]) -> list[Expression]:
    labels = selector.get("matchLabels") or {}
    return [Expression(key, "In", frozenset({str(value)})) for key, value in labels.items()]


def _expressions(selector: Mapping[str, Any]) -> list[Expression]:
    return [
        Expression(str(one["key"]), str(one["operator"]), frozenset(one.get("values") or ()))
        for one in selector.get("matchExpressions") or ()
    ]


def _pod(item: Any) -> PodAddresses | None:  # noqa: ANN401 (parsed JSON)
    try:
        metadata, status = item["metadata"], item.get("status") or {}
        addresses = [status.get("podIP"), *(one.get("ip") for one in status.get("podIPs") or ())]
        own = tuple(dict.fromkeys(str(one) for one in addresses if one))
        if (item.get("spec") or {}).get("hostNetwork") or status.get("phase") in ENDED or not own:
            return None
        return PodAddresses(
            printable(str(metadata["namespace"])),
            printable(str(metadata["name"])),
            dict(metadata.get("labels") or {}),
            own,
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PeerError("the API server did not return a valid Pod") from None
