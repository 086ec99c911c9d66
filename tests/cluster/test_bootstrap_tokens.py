"""Tests of bootstrap tokens, with the API server of the stand-in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cluster import bootstrap_tokens
from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
from k3s_rootless.errors import PeerError
from tests.api_of_cluster import Cluster, serving

TYPE = "bootstrap.kubernetes.io/token"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Yield the API server of a cluster."""
    with serving(tmp_path) as found:
        yield found


def add(cluster: Cluster, name: str, kind: str, data: dict[str, str]) -> None:
    """Add a Secret."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"namespace": "kube-system", "name": name}
    cluster.state.put("secrets", {"metadata": metadata, "type": kind, "data": encoded})


def test_only_secrets_of_this_type_are_tokens(cluster: Cluster) -> None:
    second = {"token-id": "def456", "token-secret": "1" * 16}
    first = {
        "token-id": "abc123",
        "token-secret": "0" * 16,
        "description": "mine",
        "expiration": "2026-11-28T00:00:00Z",
        "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-other": "false",
        "auth-extra-groups": "a,b",
    }
    add(cluster, "other", "Opaque", second)
    add(cluster, "bootstrap-token-def456", TYPE, second)
    add(cluster, "bootstrap-token-abc123", TYPE, first)

    expected = BootstrapToken(
        "abc123",
        f"abc123.{'0' * 16}",
        "mine",
        "2026-11-28T00:00:00Z",
        ("authentication", "signing"),
        ("a", "b"),
    )
    assert (expected, BootstrapToken("def456", f"def456.{'1' * 16}")) == bootstrap_tokens.read(
        cluster.peer
    )


@pytest.mark.parametrize("data", [{}, {"token-id": "%"}, {"token-id": "YQ=="}, None, []])
def test_another_answer_is_an_error(cluster: Cluster, data: Any) -> None:
    metadata = {"namespace": "kube-system", "name": "bootstrap-token-abc123"}
    cluster.state.put("secrets", {"metadata": metadata, "type": TYPE, "data": data})

    with pytest.raises(PeerError, match="did not return a valid bootstrap token"):
        bootstrap_tokens.read(cluster.peer)
