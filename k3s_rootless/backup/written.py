"""Count which objects of a cluster were written, from the names of their rows in the datastore.

A row is named `/registry/RESOURCE/NAMESPACE/NAME`, and that of a custom resource
`/registry/GROUP/RESOURCE/…` (Kubernetes apiserver/pkg/registry/generic).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_ROOT = "registry"
_ALWAYS = frozenset(
    (
        "apiregistration.k8s.io",
        "compact_rev_key",
        "endpointslices",
        "events",
        "health",
        "leases",
        "masterleases",
        "minions",
        "peerserverleases",
        "ranges",
    )
)
"""What K3s writes all the time, without a user."""


def counted(names: Iterable[str]) -> dict[str, int]:
    """Return the number of objects of each resource, the most frequent resource first."""
    found = Counter(resource for name in names if (resource := _resource(name)))
    return dict(found.most_common())


def _resource(name: str) -> str:
    parts = name.strip("/").split("/")
    if len(parts) < 3 or parts[0] != _ROOT or parts[1] in _ALWAYS:
        return ""
    if "." in parts[1]:
        return f"{parts[2]}.{parts[1]}"
    return parts[1]
