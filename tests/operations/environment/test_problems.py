"""Tests of the findings of `check` in K3s's environment.

These are values that make K3s exit, and values that K3s replaces or does not read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.observation import Known
from k3s_rootless.operations.environment import problems as environment_problems
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.records import Problem
from k3s_rootless.service.facts import UnitState


def problems(
    tmp_path: Path, environ: dict[str, str], manager: dict[str, str] | None = None
) -> tuple[Problem, ...]:
    fragment = tmp_path / UNIT
    fragment.write_text("# Written by k3s-rootless for K3s v1.33.4+k3s1\n")
    state = UnitState(UNIT, "loaded", "inactive", "dead", fragment=fragment, environment=environ)
    found = environment_problems.problems(manager or {}, state, tmp_path)
    assert isinstance(found, Known)
    return found.value


@pytest.mark.parametrize(
    ("name", "value", "fatal", "reason"),
    [
        ("K3S_ROOTLESS_PORT_DRIVER", "bogus", False, "uses its default: builtin"),
        ("K3S_ROOTLESS_MTU", "abc", False, "uses its default: 65520"),
        ("K3S_ROOTLESS_MTU", "-5", True, "the MTU is negative"),
        ("K3S_ROOTLESS_MTU", "65522", True, "at most 65521"),
        ("K3S_ROOTLESS_CIDR", "10.41.0.1/16", True, "it is the address of a host"),
        ("K3S_ROOTLESS_CIDR", "fd00::/64", True, "only an IPv4 network"),
        ("K3S_ROOTLESS_ENABLE_IPV6", "maybe", False, "neither true nor false"),
        ("K3S_ROOTLESS_DISABLE_HOST_LOOPBACK", "no", False, "neither true nor false"),
        ("K3S_ROOTLESS_PORTDRIVER", "builtin", False, "did you mean K3S_ROOTLESS_PORT_DRIVER?"),
        ("_K3S_ROOTLESS_SOCK", "/x", True, "K3s does not start"),
    ],
)
def test_each_value_that_k3s_does_not_accept_is_found_in_every_source(
    tmp_path: Path, name: str, value: str, reason: str, *, fatal: bool
) -> None:
    for found in (problems(tmp_path, {name: value}), problems(tmp_path, {}, {name: value})):
        (one,) = found
        assert (name, fatal) == (one.name, one.fatal)
        assert reason in one.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("K3S_ROOTLESS_PORT_DRIVER", "slirp4netns"),
        ("K3S_ROOTLESS_MTU", "1500"),
        ("K3S_ROOTLESS_CIDR", ""),
    ],
)
def test_a_value_that_k3s_accepts_is_no_problem(tmp_path: Path, name: str, value: str) -> None:
    assert () == problems(tmp_path, {name: value})
