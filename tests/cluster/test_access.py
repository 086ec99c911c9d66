"""Tests of credentials for the API server: the ones that are used, and the error without any."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.cluster import access
from k3s_rootless.errors import RootlessError
from tests.cluster.conftest import Cluster


def own_credentials(cluster: Cluster, data: Path) -> Path:
    """Write the credentials that K3s keeps in its data directory for its own use."""
    tls = data / "server" / "tls"
    tls.mkdir(parents=True)
    (tls / "server-ca.crt").write_bytes(cluster.authority.cert_pem.bytes())
    chain = b"".join(blob.bytes() for blob in cluster.client.cert_chain_pems)
    (tls / "client-admin.crt").write_bytes(chain)
    (tls / "client-admin.key").write_bytes(cluster.client.private_key_pem.bytes())
    return tls


def port_of(path: Path, data: Path, started: datetime | None) -> int:
    return access.peer(path, data, 7443, uid=os.getuid(), started=started).port


def test_a_kubeconfig_of_the_current_start_is_used(cluster: Cluster, tmp_path: Path) -> None:
    own_credentials(cluster, tmp_path)
    path = cluster.write(tmp_path / "k3s.yaml")

    assert 6443 == port_of(path, tmp_path, datetime.now(UTC) - timedelta(minutes=5))
    assert 6443 == port_of(path, tmp_path, None)


def test_otherwise_the_credentials_of_k3s_are_used_with_the_port_of_the_api_server(
    cluster: Cluster, tmp_path: Path
) -> None:
    own_credentials(cluster, tmp_path)
    old = cluster.write(tmp_path / "k3s.yaml")
    damaged = tmp_path / "damaged.yaml"
    damaged.write_text("apiVersion: v1")

    assert 7443 == port_of(old, tmp_path, datetime.now(UTC) + timedelta(minutes=5))
    assert 7443 == port_of(tmp_path / "moved.yaml", tmp_path, datetime.now(UTC))
    assert 7443 == port_of(damaged, tmp_path, None)
    found = access.credentials(tmp_path, 7443, uid=os.getuid())
    assert "127.0.0.1" == found.host
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda tls: (tls / "client-admin.key").unlink(), "client-admin.key: it does not exist"),
        (lambda tls: (tls / "server-ca.crt").write_bytes(b"-" * 100_000), "is larger than"),
        (
            lambda tls: (tls / "client-admin.crt").write_bytes(b"rubbish"),
            "invalid certificates or key",
        ),
        (lambda tls: tls.rename(tls.with_name("aside")), "server-ca.crt: it does not exist"),
    ],
    ids=["no key", "too long", "rubbish", "no directory"],
)
def test_without_credentials_the_error_names_both_sources(
    cluster: Cluster,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    reason: str,
) -> None:
    spoil(own_credentials(cluster, tmp_path))

    with pytest.raises(RootlessError) as caught:
        port_of(tmp_path / "moved.yaml", tmp_path, None)

    assert f"cannot read the kubeconfig {tmp_path}/moved.yaml: it does not exist" in str(
        caught.value
    )
    assert reason in str(caught.value)
    assert caught.value.hint
