"""Own kubeconfigs of K3s: their content, and the settings with which K3s would fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from k3s_rootless.k3s import issued
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.observe import own_kubeconfigs

UID = os.getuid()
NAMES = ("admin", "controller", "scheduler")
# Copied from K3s v1.36.3.
_KUBECONFIG = """apiVersion: v1
clusters:
- cluster:
    server: https://{host}:{port}
    certificate-authority: {tls}/server-ca.crt
  name: local
contexts:
- context:
    cluster: local
    namespace: default
    user: user
  name: Default
current-context: Default
kind: Config
preferences: {{}}
users:
- name: user
  user:
    client-certificate: {tls}/client-{name}.crt
    client-key: {tls}/client-{name}.key
"""


def write(
    data: Path, port: int = 6444, *, named: Path | None = None, host: str = "127.0.0.1"
) -> Path:
    """Write kubeconfigs and certificates as K3s does.

    `named` is the directory of the certificates that the kubeconfigs name.
    """
    tls, cred = data / "server/tls", data / "server/cred"
    for directory in (tls, cred):
        directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        for kind in ("crt", "key"):
            (tls / f"client-{name}.{kind}").write_text("pem")
        text = _KUBECONFIG.format(host=host, port=port, tls=named or tls, name=name)
        (cred / f"{name}.kubeconfig").write_text(text)
    return cred


def stale(data: Path, port: int) -> str | None:
    found = own_kubeconfigs.read(data, UID)
    assert isinstance(found, Known), found
    return issued.stale(found.value, port)


def test_a_new_data_directory_has_no_kubeconfig(tmp_path: Path) -> None:
    assert None is stale(tmp_path, 7444)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_that_differs_from_the_files_is_reported(tmp_path: Path, host: str) -> None:
    write(tmp_path, host=host)

    assert None is stale(tmp_path, issued.internal_port(6443))
    assert "admin.kubeconfig contains port 6444, but K3s's internal port is now 7444" == stale(
        tmp_path, issued.internal_port(7443)
    )
    assert None is stale(tmp_path, issued.internal_port(7443, "6444"))


def test_a_single_stale_file_is_reported(tmp_path: Path) -> None:
    cred = write(tmp_path)
    scheduler = cred / "scheduler.kubeconfig"
    scheduler.write_text(scheduler.read_text().replace("6444", "7444"))

    assert "scheduler.kubeconfig contains port 7444" in (stale(tmp_path, 6444) or "")


def test_files_that_the_next_start_writes_again_do_not_count(tmp_path: Path) -> None:
    """After a rotation, the old files remain until the next start."""
    write(tmp_path)
    for name in NAMES:
        (tmp_path / f"server/tls/client-{name}.crt").unlink()

    assert None is stale(tmp_path, 7444)


def test_a_moved_or_copied_directory_is_reported_but_a_link_is_not(
    tmp_path: Path,
) -> None:
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    write(old)
    link.symlink_to(old)
    write(new, named=old / "server/tls")

    assert None is stale(link, 6444)
    assert f"refers to {old}/server/tls/client-admin.crt, which is not in this data directory" in (
        stale(new, 6444) or ""
    )
    old.rename(tmp_path / "away")
    assert "not in this data directory" in (stale(new, 6444) or "")


def test_a_certificate_in_a_place_that_cannot_be_seen_is_elsewhere(tmp_path: Path) -> None:
    """Such as the home directory of another user, after a restore."""
    write(tmp_path, named=Path("/", "x" * 300))

    assert "not in this data directory" in (stale(tmp_path, 6444) or "")


def test_a_file_in_another_format_is_unknown(tmp_path: Path) -> None:
    cred = write(tmp_path)
    path = cred / "controller.kubeconfig"
    spoils: tuple[Callable[[], object], ...] = (
        lambda: path.write_text("apiVersion: v1\n"),
        lambda: path.write_bytes(b"\xff" * 100_000),
        path.unlink,
        path.mkdir,
    )
    for spoil in spoils:
        spoil()
        if not path.exists():
            continue
        found = own_kubeconfigs.read(tmp_path, UID)
        assert isinstance(found, Unknown), found
        assert str(cred) in found.reason
