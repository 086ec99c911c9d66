from __future__ import annotations

import os
import ssl
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.cluster.kubeconfig import connection
from k3s_rootless.cluster.kubeconfig import read as kubeconfig
from k3s_rootless.errors import PeerError, RootlessError
from tests.patience import PATIENCE
from tests.ports import peers

UID = os.getuid()


class Cluster(Protocol):
    """The type of the fixture."""

    def context(self) -> ssl.SSLContext: ...
    def document(self, server: str = ...) -> dict[str, Any]: ...
    def write(self, path: Path, server: str = ...) -> Path: ...


def refused(path: Path, *, uid: int = UID) -> RootlessError:
    with pytest.raises(RootlessError) as caught:
        kubeconfig.load(path, uid=uid)
    return caught.value


def test_the_kubeconfig_of_k3s_is_read(cluster: Cluster, tmp_path: Path) -> None:
    path = cluster.write(tmp_path / "k3s.yaml")
    os.utime(path, (1795469711, 1795469711))

    found = kubeconfig.load(path, uid=UID)

    assert (found.path, found.server, found.host, found.port) == (
        path,
        "https://127.0.0.1:6443",
        "127.0.0.1",
        6443,
    )
    assert (found.modified, found.mode) == (datetime(2026, 11, 23, 21, 35, 11, tzinfo=UTC), 0o600)
    assert found.authority.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE KEY" in found.key
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("https://localhost", ("localhost", 443)),
        ("https://[::1]:7443/", ("::1", 7443)),
        ("https://127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_the_address_is_parsed(
    cluster: Cluster, tmp_path: Path, server: str, address: tuple[str, int]
) -> None:
    found = kubeconfig.load(cluster.write(tmp_path / "k3s.yaml", server), uid=UID)

    assert (found.host, found.port) == address


@pytest.mark.parametrize(
    "server",
    [
        "http://127.0.0.1:6443",
        "127.0.0.1:6443",
        "https://",
        "https://h:99999",
        "https://h\x1b[0m/",
        "",
    ],
)
def test_an_address_other_than_https_is_refused(
    cluster: Cluster, tmp_path: Path, server: str
) -> None:
    error = refused(cluster.write(tmp_path / "k3s.yaml", server))

    assert error.message.startswith("cannot use the kubeconfig")
    assert error.message.isprintable()


def test_the_verified_connection_works_and_shows_our_certificate(
    cluster: Cluster, tmp_path: Path
) -> None:
    with peers.over_tls(cluster.context(), peers.answering({"/readyz": b"ok"})) as server:
        path = cluster.write(tmp_path / "k3s.yaml", f"https://127.0.0.1:{server.server_address[1]}")

        answer = connection.peer(kubeconfig.load(path, uid=UID)).get("/readyz", timeout=PATIENCE)

    assert (200, b"ok") == (answer.status, answer.body)


def test_the_server_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """If the K3s of another user has the host port, our kubeconfig leads to that K3s."""
    other = type(cluster).make()  # type: ignore[attr-defined]
    with peers.over_tls(other.context(), peers.answering({"/readyz": b"ok"})) as server:
        path = cluster.write(tmp_path / "k3s.yaml", f"https://127.0.0.1:{server.server_address[1]}")

        with pytest.raises(PeerError, match="certificate"):
            connection.peer(kubeconfig.load(path, uid=UID)).get("/readyz", timeout=PATIENCE)

        assert [] == server.requested


def test_the_host_name_of_the_server_is_verified(cluster: Cluster, tmp_path: Path) -> None:
    """K3s's certificate is for 127.0.0.1, not for all of 127.0.0.0/8."""
    with peers.over_tls(cluster.context(), peers.answering({"/readyz": b"ok"})) as server:
        path = cluster.write(tmp_path / "k3s.yaml", f"https://127.0.0.2:{server.server_address[1]}")

        with pytest.raises(PeerError):
            connection.peer(kubeconfig.load(path, uid=UID)).get("/readyz", timeout=PATIENCE)


@pytest.mark.parametrize("behaviour", peers.HOSTILE)
def test_the_time_limit_holds_against_a_hostile_server(
    cluster: Cluster, tmp_path: Path, behaviour: peers.Behaviour
) -> None:
    start = time.monotonic()
    with peers.over_tls(cluster.context(), behaviour) as server:
        path = cluster.write(tmp_path / "k3s.yaml", f"https://127.0.0.1:{server.server_address[1]}")

        with pytest.raises(PeerError):
            connection.peer(kubeconfig.load(path, uid=UID)).get("/readyz", timeout=1)

    assert time.monotonic() - start < PATIENCE


def test_keys_are_neither_kept_open_nor_written_to_disk(cluster: Cluster, tmp_path: Path) -> None:
    found = kubeconfig.load(cluster.write(tmp_path / "k3s.yaml"), uid=UID)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (descriptors, not files)

    for _ in range(20):
        connection.context(found)

    # Not ==: a connection of the previous test can close only now.
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
    assert ["k3s.yaml"] == [one.name for one in tmp_path.iterdir()]


def test_a_link_to_a_file_of_the_user_is_followed(cluster: Cluster, tmp_path: Path) -> None:
    """With --write-kubeconfig K3s makes ~/.kube/k3s.yaml a link."""
    (tmp_path / "link").symlink_to(cluster.write(tmp_path / "elsewhere.yaml"))

    assert 6443 == kubeconfig.load(tmp_path / "link", uid=UID).port


def test_a_file_of_another_user_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = cluster.write(tmp_path / "k3s.yaml")

    assert f"belongs to uid {UID}, not to uid {UID + 1}" in refused(path, uid=UID + 1).message
    (tmp_path / "link").symlink_to("/proc/1/status" if UID else "/etc/passwd")
    if UID:
        assert "belongs to uid 0" in refused(tmp_path / "link").message


def test_the_hint_for_a_missing_file_names_the_command_that_writes_it(tmp_path: Path) -> None:
    error = refused(tmp_path / "k3s.yaml")

    assert error.message.endswith("it does not exist")
    assert "k3s-rootless up" in (error.hint or "")


def test_special_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    assert "not a regular file" in refused(tmp_path / "pipe").message
    assert "not a regular file" in refused(tmp_path).message
    assert "symbolic links" in refused(tmp_path / "loop").message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "it has no current-context", id="empty"),
        pytest.param(b"\x00\xff", "not valid YAML", id="binary"),
        pytest.param(b"a: [", "not valid YAML", id="cut"),
        pytest.param(b"- 1", "it has no current-context", id="a list"),
        pytest.param(b"current-context: 5", "it has no current-context", id="a number"),
        pytest.param(b"current-context: x", "no context named 'x'", id="no contexts"),
        pytest.param(b"current-context: x\ncontexts: {x: 1}", "no context named 'x'", id="no list"),
        pytest.param(
            b"!!python/object/apply:os.system [touch /tmp/x]", "not valid YAML", id="code"
        ),
        pytest.param(b"a: &a [1]\nb: [*a, *a]", "aliases", id="aliases"),
        pytest.param(b"[" * 20_000, "nested too deeply", id="deep"),
        pytest.param(b"#" * 300_000, "larger than", id="large"),
    ],
)
def test_invalid_content_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "k3s.yaml"
    path.write_bytes(content)

    error = refused(path)

    assert reason in error.message
    assert error.hint is not None


@pytest.mark.parametrize(
    ("kind", "inner", "key", "value"),
    [
        ("clusters", "cluster", "server", None),
        ("clusters", "cluster", "certificate-authority-data", "!"),
        ("users", "user", "client-key-data", None),
        ("users", "user", "client-certificate-data", 5),
        ("contexts", "context", "user", "unknown"),
    ],
)
def test_the_error_names_the_missing_field(
    cluster: Cluster, tmp_path: Path, kind: str, inner: str, key: str, value: Any
) -> None:
    document = cluster.document()
    document[kind][0][inner][key] = value
    (tmp_path / "k3s.yaml").write_text(yaml.safe_dump(document))

    assert (key if value != "unknown" else "unknown") in refused(tmp_path / "k3s.yaml").message


def test_damaged_certificates_are_refused_without_a_password_prompt(
    cluster: Cluster, tmp_path: Path
) -> None:
    encrypted = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret"],
        capture_output=True,
        check=True,
    ).stdout
    found = kubeconfig.load(cluster.write(tmp_path / "k3s.yaml"), uid=UID)
    for damaged in (
        replace(found, authority=b"x"),
        replace(found, certificate=b"x"),
        replace(found, key=b"\xff"),
        replace(found, key=encrypted),
    ):
        with pytest.raises(RootlessError, match="damaged"):
            connection.context(damaged)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=300) | st.text(alphabet="ab:-{}[]&*!|>\n '\"<", max_size=60).map(str.encode)
)
def test_any_content_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k3s.yaml"
    path.write_bytes(content)

    assert refused(path).message
