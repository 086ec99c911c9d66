"""Tests of which Pods a NetworkPolicy selects, by the examples of Kubernetes's documentation."""

from __future__ import annotations

import pytest

from k3s_rootless.cluster.policies.facts import Direction, Expression, PodAddresses, Policy
from k3s_rootless.cluster.policies.selection import isolating, selects

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def pod(name: str = "web", namespace: str = "default", **labels: str) -> PodAddresses:
    return PodAddresses(namespace, name, labels, ("10.42.0.8",))


def policy(
    *requires: Expression,
    name: str = "deny",
    directions: frozenset[Direction] = frozenset({INGRESS}),
) -> Policy:
    return Policy("default", name, directions, requires)


@pytest.mark.parametrize(
    ("required", "labels", "selected"),
    [
        (Expression("app", "In", frozenset({"web", "db"})), {"app": "db"}, True),
        (Expression("app", "In", frozenset({"web"})), {"app": "db"}, False),
        (Expression("app", "In", frozenset({"web"})), {}, False),
        (Expression("app", "NotIn", frozenset({"web"})), {"app": "db"}, True),
        (Expression("app", "NotIn", frozenset({"web"})), {"app": "web"}, False),
        # NotIn also selects objects without the label.
        (Expression("app", "NotIn", frozenset({"web"})), {}, True),
        (Expression("app", "Exists"), {"app": ""}, True),
        (Expression("app", "Exists"), {}, False),
        (Expression("app", "DoesNotExist"), {}, True),
        (Expression("app", "DoesNotExist"), {"app": "web"}, False),
        (Expression("app", "Later"), {"app": "web"}, False),
    ],
)
def test_each_operator_of_a_selector(
    required: Expression, labels: dict[str, str], *, selected: bool
) -> None:
    assert selected is selects(policy(required), pod(**labels))


def test_all_requirements_count() -> None:
    both = policy(Expression("app", "Exists"), Expression("old", "DoesNotExist"))

    assert selects(both, pod(app="web"))
    assert not selects(both, pod(app="web", old="yes"))


def test_an_empty_selector_selects_the_pods_of_its_namespace() -> None:
    assert selects(policy(), pod())
    assert not selects(policy(), pod(namespace="other"))


def test_a_policy_isolates_the_end_of_its_direction() -> None:
    found = (
        policy(name="in"),
        policy(name="out", directions=frozenset({EGRESS})),
        policy(name="both", directions=frozenset({INGRESS, EGRESS})),
        policy(Expression("app", "Exists"), name="other"),
    )

    assert ("default/in", "default/both") == isolating(found, None, pod())
    assert ("default/out", "default/both") == isolating(found, pod(), None)
    assert ("default/in", "default/out", "default/both") == isolating(found, pod(), pod())
    assert () == isolating(found, None, None)
