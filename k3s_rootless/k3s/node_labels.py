"""The labels and taints of the node: the rules of Kubernetes for their values.

Sources: Kubernetes pkg/kubelet/apis/well_known_labels.go, apimachinery/pkg/util/validation and
pkg/util/taints, v1.21 to v1.37.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from k3s_rootless.k3s.version import Version

_KUBERNETES = ("kubernetes.io", "k8s.io")
_OWN_LABELS = frozenset(
    (
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII
)
SETTINGS = ("node-label", "node-taint")
"""Settings that an existing node does not get."""
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def label(text: str, _: Version | None) -> str:
    """Return a label, KEY=VALUE. Raises ValueError with the reason as the end of a sentence."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("a label has the form KEY=VALUE")
    _require_key(key)
    if value and not _NAME.fullmatch(value):
        raise ValueError(
            "the value of a label can have at most 63 letters, digits, `-`, `_` and `.`"
        )
    prefix = key.rpartition("/")[0]
    allowed = key in _OWN_LABELS or _in_domain(prefix, _OWN_PREFIXES)
    if _in_domain(prefix, _KUBERNETES) and not allowed:
        raise ValueError(
            f"the kubelet is not allowed to set labels below `{prefix}`, so K3s would not start"
        )
    return text


def _in_domain(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == one or prefix.endswith(f".{one}") for one in domains)


def taint(text: str, _: Version | None) -> str:
    """Return a taint, KEY=VALUE:EFFECT. Raises ValueError as `label` does."""
    rest, colon, effect = text.rpartition(":")
    if not colon or effect not in _EFFECTS:
        raise ValueError(
            f"a taint has the form KEY=VALUE:EFFECT, and its effect is one of {', '.join(_EFFECTS)}"
        )
    key, _equals, value = rest.partition("=")
    _require_key(key)
    if value and not _NAME.fullmatch(value):
        raise ValueError(
            "the value of a taint can have at most 63 letters, digits, `-`, `_` and `.`"
        )
    return text


def parts_of_taint(text: str) -> tuple[str, str, str]:
    """Return key, value and effect of a taint; the value is empty if there is none."""
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return key, value, effect


def contradiction(name: str, values: Iterable[str]) -> str:
    """Return why the values of a setting cannot be set together; empty if they can.

    The kubelet exits if two taints have the same key and effect, and uses the last of two labels
    with the same key (Kubernetes pkg/util/taints).
    """
    seen: dict[tuple[str, ...], str] = {}
    for one in values:
        subject: tuple[str, ...] = (one,)
        if name == "node-label":
            subject = (one.partition("=")[0],)
        if name == "node-taint":
            key, _, effect = parts_of_taint(one)
            subject = (key, effect)
        if seen.setdefault(subject, one) != one:
            return f"`{seen[subject]}` and `{one}` contradict each other"
    return ""


def _require_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise ValueError(
            "its key is not a valid Kubernetes name: [PREFIX/]NAME, where NAME has at most 63"
            " letters, digits, `-`, `_` and `.`"
        )
