"""Tests of the release that the node of a ready K3s reports."""

from __future__ import annotations

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.launch import reported
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from tests.operations.status.conftest import cluster, k3s
from tests.operations.status.k3s import RELEASE, K3s

__all__ = ["cluster", "k3s"]


def state(k3s: K3s) -> UnitState:
    """Return the unit of a running K3s."""
    k3s.runs()
    with k3s.context.manager() as manager:
        return manager.unit(UNIT)


def test_the_release_of_a_ready_node(k3s: K3s) -> None:
    with k3s.api():
        assert RELEASE == reported.release(k3s.context, state(k3s))
        reported.require(k3s.context, state(k3s), RELEASE.replace("+k3s1", "-k3s1"))


def test_another_release_is_an_error(k3s: K3s, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported, "SECONDS", 0.3)
    with k3s.api(), pytest.raises(RootlessError, match=r"reports K3s .*, not v1\.36\.3"):
        reported.require(k3s.context, state(k3s), "v1.36.3+k3s1")


def test_no_release_is_known_without_a_ready_node(k3s: K3s) -> None:
    assert reported.release(k3s.context, state(k3s)) is None
    with k3s.api(ready="False"):
        assert reported.release(k3s.context, state(k3s)) is None


def test_the_same_release_in_two_spellings() -> None:
    assert reported.same("v1.36.3+k3s1", "v1.36.3-k3s1")
    assert reported.same("dev", "dev")
    assert not reported.same("dev", "v1.36.3+k3s1")
    assert not reported.same("v1.36.3+k3s1", "v1.36.3+k3s2")
