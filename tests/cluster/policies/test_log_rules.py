"""Tests of the rules of K3s that log packets, after kube-router's own tests (utils_test.go)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.cluster.policies import log_rules
from k3s_rootless.cluster.policies.facts import Direction, Policy
from k3s_rootless.k3s import version

_NAMES = st.text("abcdefgh-", min_size=1, max_size=63)


def policy(namespace: str, name: str, limit: str = "", burst: str = "") -> Policy:
    return Policy(namespace, name, frozenset({Direction.INGRESS}), limit=limit, burst=burst)


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("default", "deny", "default/deny"),
        ("a" * 10, "b" * 40, f"{'a' * 10}/{'b' * 37}"),
        ("a" * 40, "b" * 10, f"{'a' * 37}/{'b' * 10}"),
        ("a" * 30, "b" * 30, f"{'a' * 23}/{'b' * 23}"),
        ("a" * 24, "b" * 23, f"{'a' * 24}/{'b' * 23}"),
        ("a" * 24, "b" * 24, f"{'a' * 23}/{'b' * 23}"),
    ],
)
def test_long_names_are_cut_as_k3s_cuts_them(namespace: str, name: str, expected: str) -> None:
    assert expected == log_rules.shortened(namespace, name)


@given(_NAMES, _NAMES)
def test_a_prefix_has_room_in_the_kernel(namespace: str, name: str) -> None:
    """The kernel has 64 bytes for it, with the final NUL (linux/netfilter/xt_NFLOG.h)."""
    assert len(f"DROP by policy {log_rules.shortened(namespace, name)}") < 64


@given(_NAMES, _NAMES)
def test_a_policy_is_found_by_its_prefix(namespace: str, name: str) -> None:
    prefix = f"DROP by policy {log_rules.shortened(namespace, name)}"

    assert (f"{namespace}/{name}",) == log_rules.named(prefix, [policy(namespace, name)])


def test_policies_with_the_same_cut_name_are_all_named() -> None:
    found = [policy("a" * 30, "b" * 30), policy("a" * 30, "b" * 31), policy("a", "b")]

    assert (found[0].text, found[1].text) == log_rules.named(
        f"DROP by policy {'a' * 23}/{'b' * 23}", found
    )


def test_a_policy_that_is_gone_is_named_as_in_the_prefix() -> None:
    assert ("default/old",) == log_rules.named("DROP by policy default/old", [])


@pytest.mark.parametrize("prefix", ["", "something else"])
def test_another_prefix_names_no_policy(prefix: str) -> None:
    assert () == log_rules.named(prefix, [policy("default", "deny")])


@pytest.mark.parametrize(
    ("limit", "burst", "expected", "ignored"),
    [
        ("", "", ("10/minute", "10"), False),
        ("100/second", "50", ("100/second", "50"), False),
        ("5", "", ("5", "10"), False),
        ("1/d", "1", ("1/d", "1"), False),
        ("", "7", ("10/minute", "7"), False),
        ("10/week", "", ("10/minute", "10"), True),
        ("ten/minute", "", ("10/minute", "10"), True),
        ("10/", "", ("10/minute", "10"), True),
        ("10/minute/s", "", ("10/minute", "10"), True),
        # One wrong annotation makes K3s ignore both.
        ("100/second", "many", ("10/minute", "10"), True),
    ],
)
def test_the_limits_of_a_policy(
    limit: str, burst: str, expected: tuple[str, str], *, ignored: bool
) -> None:
    found = policy("default", "deny", limit, burst)

    assert expected == log_rules.limit(found)
    assert ignored is bool(log_rules.problem(found))


@pytest.mark.parametrize(
    ("release", "names"),
    [
        ("v1.21.14+k3s1", False),
        ("v1.25.3+k3s1", False),
        ("v1.25.4+k3s1", True),
        ("v1.25.8+k3s1", False),
        ("v1.26.2+k3s1", True),
        ("v1.26.3+k3s1", False),
        ("v1.26.9+k3s1", False),
        ("v1.26.10+k3s1", True),
        ("v1.27.6+k3s1", False),
        ("v1.27.7+k3s1", True),
        ("v1.28.2+k3s1", False),
        ("v1.28.3+k3s1", True),
        ("v1.36.3+k3s1", True),
    ],
)
def test_the_releases_that_name_policies(release: str, *, names: bool) -> None:
    found = version.parse(release)

    assert found
    assert names is log_rules.names_policies(found)
