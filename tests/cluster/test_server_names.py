from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.cluster import server_names
from k3s_rootless.cluster.kubeconfig import read
from k3s_rootless.observation import Known, Unknown
from tests.cluster.conftest import Cluster
from tests.patience import PATIENCE
from tests.ports import peers

NAMES = ("kubernetes.default", "Host.example", "*.k3s.example", "10.43.0.1", "::1", "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "has"),
    [
        ("kubernetes.default", True),
        ("host.EXAMPLE", True),
        ("host.example.", True),
        ("a.k3s.example", True),
        ("a.b.k3s.example", False),
        ("k3s.example", False),
        ("example", False),
        ("10.43.0.1", True),
        ("10.43.0.2", False),
        ("0:0:0:0:0:0:0:1", True),
        ("::2", False),
    ],
)
def test_a_certificate_is_valid_for_its_names(host: str, has: bool) -> None:  # noqa: FBT001
    assert has is server_names.has(NAMES, host)


def test_the_names_are_read_from_the_server(cluster: Cluster, tmp_path: Path) -> None:
    path = cluster.write(tmp_path / "k3s.yaml")
    with peers.over_tls(cluster.context(), peers.answering({})) as server:
        port = server.server_address[1]
        cluster.write(path, f"https://127.0.0.1:{port}")
        found = server_names.read(read.load(path, uid=path.stat().st_uid), PATIENCE)

    assert isinstance(found, Known)
    assert {"127.0.0.1", "localhost"} == set(found.value)


def test_a_server_that_is_not_ours_or_does_not_answer(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "k3s.yaml"
    with peers.over_tls(Cluster.make().context(), peers.answering({})) as server:
        port = server.server_address[1]
        cluster.write(path, f"https://127.0.0.1:{port}")
        other = server_names.read(read.load(path, uid=path.stat().st_uid), PATIENCE)
    gone = server_names.read(read.load(path, uid=path.stat().st_uid), PATIENCE)

    assert isinstance(other, Unknown)
    assert "TLS with 127.0.0.1" in other.reason
    assert Unknown(f"cannot connect to 127.0.0.1:{port}: connection refused") == gone
