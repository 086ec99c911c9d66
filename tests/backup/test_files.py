"""Tests of the files that belong to a backup, with real trees."""

from __future__ import annotations

import os
from pathlib import Path

from k3s_rootless.backup import files, staging
from k3s_rootless.backup.facts import Collected, Datastore, Source
from tests.backup.cluster import Cluster, write


def collected(cluster: Cluster) -> Collected:
    """Collect the files of a cluster."""
    return files.collect(
        cluster.data, cluster.home, cluster.drop_ins, [cluster.configuration, Path("/etc/hostname")]
    )


def test_a_backup_has_what_k3s_cannot_create_again(cluster: Cluster) -> None:
    names = {one.name for one in collected(cluster).sources}

    assert names - {"host/etc/hostname"} == {
        "data/server/token",
        "data/server/tls/server-ca.crt",
        "data/server/tls/etcd/peer.key",
        "data/server/cred/passwd",
        "data/server/manifests/mine.yaml",
        "data/agent/etc/rancher/node/password",
        "data/agent/etc/containerd/config.toml.tmpl",
        "data/agent/etc/containerd/config-v3.toml.d/a.toml",
        "data/etc/rancher/k3s/registries.yaml",
        "unit/50-k3s-rootless-environment.conf",
        "home/k3s.yaml",
    }


def test_a_packaged_manifest_with_a_skip_file_is_the_users(cluster: Cluster) -> None:
    write(cluster.data / "server/manifests/coredns.yaml.skip", "", 0o600)

    names = {one.name for one in collected(cluster).sources}

    assert {
        "data/server/manifests/coredns.yaml",
        "data/server/manifests/coredns.yaml.skip",
    } <= names


def test_links_and_devices_are_left_out_with_the_reason(cluster: Cluster) -> None:
    (cluster.data / "server/tls/link").symlink_to("/etc/passwd")
    (cluster.data / "server/cred/directory").symlink_to("/etc")
    os.mkfifo(cluster.data / "server/cred/pipe")

    found = collected(cluster)

    reasons = {Path(one.path).name: one.reason for one in found.left_out}
    assert reasons["link"] == reasons["directory"] == "it is a link"
    assert reasons["pipe"] == "it is no regular file"
    assert "storage" in reasons
    assert not any("passwd" in str(one.path) for one in found.sources if "tls" in one.name)


def test_an_empty_data_directory(tmp_path: Path) -> None:
    assert files.collect(tmp_path, tmp_path, tmp_path, []).sources == ()


def test_the_kind_of_the_datastore(cluster: Cluster) -> None:
    assert files.datastore(cluster.data, "") is Datastore.SQLITE
    assert files.datastore(cluster.data, "mysql://x") is Datastore.EXTERNAL
    (cluster.database.parent / "etcd").mkdir()
    assert files.datastore(cluster.data, "") is Datastore.SQLITE
    (cluster.database.parent / "etcd/member/wal").mkdir(parents=True)
    assert files.datastore(cluster.data, "") is Datastore.ETCD
    assert files.datastore(cluster.data, "mysql://x") is Datastore.ETCD
    assert files.datastore(cluster.place, "") is Datastore.NONE


def test_a_file_that_is_gone_is_left_out(cluster: Cluster) -> None:
    with staging.directory(cluster.place) as folder:
        assert staging.copy(Source(cluster.place / "gone", "data/gone"), folder) is None
        entry = staging.copy(Source(cluster.configuration, "home/k3s.yaml"), folder)

        assert entry
        assert (entry.size, entry.mode) == (5, 0o644)
        assert (folder / "home/k3s.yaml").stat().st_mode & 0o777 == 0o600
    assert not folder.exists()


def test_a_directory_in_use_is_not_swept(tmp_path: Path) -> None:
    left = tmp_path / ".k3s-rootless-staging.abcdefgh"
    left.mkdir()
    (tmp_path / "other").mkdir()
    with staging.directory(tmp_path) as folder:
        assert not left.exists()
        child = os.fork()
        if child == 0:
            staging.sweep(tmp_path)
            os._exit(0)
        os.waitpid(child, 0)

        assert folder.exists()
    assert (tmp_path / "other").exists()
