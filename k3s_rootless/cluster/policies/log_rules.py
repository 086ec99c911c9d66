"""The rules that log packets: their prefix, which names a policy, and their limits.

Source: kube-router as K3s uses it, pkg/controllers/netpol/policy.go, pod.go and utils.go, v2.6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from k3s_rootless.cluster.policies.facts import BURST, LIMIT, Policy
from k3s_rootless.k3s.features import Since
from k3s_rootless.k3s.version import Version

GROUP = 100
NAMED = Since.of("v1.25.15+k3s1", "v1.26.10+k3s1", "v1.27.7+k3s1", "v1.28.3+k3s1")
"""From these releases on, the rules name the policy and obey its annotations."""
_NAMED_BEFORE = (((1, 25, 4), (1, 25, 7)), ((1, 26, 0), (1, 26, 2)))
"""The first and last releases of an earlier time in which the rules did so.

In all other releases, only the rule of the Pod logs packets, without a name (K3s's commits
fbba3ba88, e098b99bf and ad206310d; some patch numbers are inferred from the month).
"""
DEFAULT_LIMIT, DEFAULT_BURST = "10/minute", "10"
_PREFIX = "DROP by policy "
_LONGEST, _HALF = 48, 24
_UNITS = frozenset({"second", "minute", "hour", "day", "s", "m", "h", "d"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def names_policies(release: Version) -> bool:
    """Return whether the rules of a release name the policy and obey its annotations."""
    if NAMED.holds(release):
        return True
    number = (release.major, release.minor, release.patch)
    return any(first <= number <= last for first, last in _NAMED_BEFORE)


def named(prefix: str, policies: Iterable[Policy]) -> tuple[str, ...]:
    """Return the policy that a prefix names; several, if the name was cut and fits them all.

    Empty for the rule of a Pod, which has no prefix. A policy that no longer exists is named as in
    the prefix.
    """
    if not prefix.startswith(_PREFIX):
        return ()
    text = prefix.removeprefix(_PREFIX)
    found = tuple(one.text for one in policies if shortened(one.namespace, one.name) == text)
    return found or (text,)


def shortened(namespace: str, name: str) -> str:
    """Return a policy's name as its rule has it; the kernel limits the length of a prefix."""
    if len(namespace) + len(name) < _LONGEST:
        return f"{namespace}/{name}"
    if len(namespace) < _HALF:
        return f"{namespace}/{name[: _LONGEST - len(namespace) - 1]}"
    if len(name) < _HALF:
        return f"{namespace[: _LONGEST - len(name) - 1]}/{name}"
    return f"{namespace[: _HALF - 1]}/{name[: _HALF - 1]}"


def limit(policy: Policy) -> tuple[str, str]:
    """Return how many packets of a policy are logged: a number per time, and the first ones."""
    if problem(policy):
        return DEFAULT_LIMIT, DEFAULT_BURST
    return policy.limit or DEFAULT_LIMIT, policy.burst or DEFAULT_BURST


def problem(policy: Policy) -> str:
    """Return why K3s ignores both annotations of a policy; empty if it does not."""
    number, slash, unit = (policy.limit or DEFAULT_LIMIT).partition("/")
    if not _INTEGER.fullmatch(number) or (slash and unit not in _UNITS):
        return (
            f"the annotation {LIMIT} is `{policy.limit}`, and not a number such as 5, or 5/second,"
            " 5/minute, 5/hour or 5/day"
        )
    if not _INTEGER.fullmatch(policy.burst or DEFAULT_BURST):
        return f"the annotation {BURST} is `{policy.burst}`, and not a number"
    return ""
