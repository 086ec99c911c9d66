"""Records of NetworkPolicies, and of the Pods that they select."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LIMIT = "kube-router.io/netpol-nflog-limit"
BURST = "kube-router.io/netpol-nflog-limit-burst"
"""The annotations for the number of logged packets (kube-router pkg/controllers/netpol)."""


class Direction(Enum):
    """The direction of packets for which a policy isolates Pods."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True, slots=True)
class Expression:
    """One requirement of a label selector; `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """One NetworkPolicy: the Pods that it selects in its namespace, and its annotations.

    `limit` and `burst` are those of the annotations, empty without.
    """

    namespace: str
    name: str
    directions: frozenset[Direction]
    requires: tuple[Expression, ...] = ()
    limit: str = ""
    burst: str = ""

    @property
    def text(self) -> str:
        """The namespace and the name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodAddresses:
    """One Pod with a network of its own: its labels and its addresses."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]

    @property
    def text(self) -> str:
        """The namespace and the name."""
        return f"{self.namespace}/{self.name}"
