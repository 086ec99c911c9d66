"""Tests that copies are refreshed after a rotation, and that `status` finds stale ones."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys

import pytest

from k3s_rootless.cluster.kubeconfig import copies, lock
from k3s_rootless.operations.kubeconfig import source, stale
from k3s_rootless.operations.kubeconfig.refresh import refresh
from tests.operations.kubeconfig.conftest import Host, document

OURS = "k3s-rootless"


def stale_files(host: Host) -> list[str]:
    context = host.context
    found = stale.stale(context, lambda: source.load(context, host.k3s))
    return [one.file.name for one in found]


def test_a_rotation_makes_copies_stale_until_they_are_refreshed(host: Host) -> None:
    host.own()
    host.merge()
    host.merge(into=host.home / "other")
    assert [] == stale_files(host)

    host.rotate()
    assert ["config", "other"] == stale_files(host)
    refresh(host.context, host.k3s)

    assert [] == stale_files(host)
    assert [
        f"refreshed the context `{OURS}` in {host.config}",
        f"refreshed the context `{OURS}` in {host.home / 'other'}",
    ] == host.notices
    (user,) = (one for one in document(host.config)["users"] if one["name"] == OURS)
    assert host.cluster.client.private_key_pem.bytes() == base64.b64decode(
        user["user"]["client-key-data"]
    )
    refresh(host.context, host.k3s)
    assert 2 == len(host.notices)


def test_a_refreshed_copy_is_readable_by_the_user_only(host: Host) -> None:
    host.own()
    host.merge()
    host.config.chmod(0o644)
    host.rotate()
    host.events.clear()

    refresh(host.context, host.k3s)

    assert 0o600 == stat.S_IMODE(host.config.stat().st_mode)
    reason = "it has the key of an administrator of the cluster"
    assert [
        f"refreshed the context `{OURS}` in {host.config}",
        f"{host.config} is now readable by you only (mode 0600, not 0644): {reason}",
    ] == host.notices


def test_another_port_makes_a_copy_stale_unless_the_user_set_a_server(host: Host) -> None:
    host.own()
    host.merge()
    host.cluster.write(host.k3s, "https://127.0.0.1:7443")
    assert ["config"] == stale_files(host)

    text = host.config.read_text()
    host.config.write_text(
        text.replace("https://127.0.0.1:6443\n  name", "https://host.example:6443\n  name")
    )
    assert [] == stale_files(host)
    refresh(host.context, host.k3s)
    assert "https://host.example:6443" in host.config.read_text()

    host.config.write_text(text)
    host.cluster.write(host.k3s, "https://127.0.0.1:8443")
    refresh(host.context, host.k3s)
    assert "https://127.0.0.1:8443" == document(host.config)["clusters"][2]["cluster"]["server"]


def test_a_copy_that_the_user_removed_is_forgotten(host: Host) -> None:
    host.own()
    host.merge()
    before = host.own().read_text()
    host.rotate()

    assert [] == stale_files(host)
    refresh(host.context, host.k3s)

    assert () == copies.read(host.context.paths.own)
    assert (before, []) == (host.config.read_text(), host.notices)


@pytest.mark.parametrize("fault", ["edited", "locked", "malformed", "missing", "foreign"])
def test_a_copy_that_cannot_be_refreshed_is_reported_and_kept(
    host: Host, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SECONDS", 0.0)
    path = host.own()
    host.merge()
    match fault:
        case "edited":
            key = document(path)["users"][1]["user"]["client-key-data"]
            path.write_text(path.read_text().replace(key, "bWluZQ=="))
        case "locked":
            os.close(os.open(path.with_name("config.lock"), os.O_CREAT | os.O_EXCL, 0))
        case "malformed":
            path.write_text("users: [c2VjcmV0")
        case "missing":
            host.k3s.unlink()
        case _:
            path.unlink()
            path.mkdir()
    before = None if path.is_dir() else path.read_text()
    if fault != "missing":
        host.rotate()

    refresh(host.context, host.k3s)

    (notice,) = host.notices
    assert notice.startswith("cannot refresh the cop" if fault == "missing" else "cannot refresh")
    assert "c2VjcmV0" not in notice
    assert before == (None if path.is_dir() else path.read_text())
    assert 1 == len(copies.read(host.context.paths.own))


def test_status_reads_the_record_only() -> None:
    code = (
        "import sys; from k3s_rootless.operations.status import queries;"
        " print({'yaml', 'ruamel'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == run.stdout.strip()
