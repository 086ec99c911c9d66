"""Which Pods a NetworkPolicy selects (Kubernetes apimachinery, LabelSelectorAsSelector)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k3s_rootless.cluster.policies.facts import Direction, Expression, PodAddresses, Policy


def selects(policy: Policy, pod: PodAddresses) -> bool:
    """Return whether a policy applies to a Pod."""
    if policy.namespace != pod.namespace:
        return False
    return all(_meets(pod.labels, one) for one in policy.requires)


def isolating(
    policies: Iterable[Policy], source: PodAddresses | None, destination: PodAddresses | None
) -> tuple[str, ...]:
    """Return the policies that can refuse a packet between two Pods, or a Pod and another host.

    A policy for Egress applies to the source, one for Ingress to the destination.
    """
    ends = ((Direction.EGRESS, source), (Direction.INGRESS, destination))
    return tuple(
        policy.text
        for policy in policies
        if any(
            pod is not None and direction in policy.directions and selects(policy, pod)
            for direction, pod in ends
        )
    )


def _meets(labels: Mapping[str, str], required: Expression) -> bool:
    value = labels.get(required.key)
    match required.operator:
        case "In":
            return value in required.values
        case "NotIn":
            return value not in required.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
