"""Tables of backups that can be restored, and of the reasons why others cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup import slots
from k3s_rootless.backup.facts import Datastore, Entry, Manifest, Origin, Root
from k3s_rootless.backup.judgement import judge
from tests.backup.cluster import NOW

HERE = Origin(
    "alice",
    "node1",
    "x86_64",
    "v1.36.3+k3s1",
    {Root.DATA: "/home/alice/.rancher/k3s", Root.HOME: "/home/alice", Root.UNIT: "/units"},
)
ROOTS = {root: Path(path) for root, path in HERE.roots.items()}
CONFIG = "/home/alice/k3s/config.yaml"


def manifest(*names: str, **changed: object) -> Manifest:
    """Return the manifest of a backup from here."""
    entries = tuple(Entry(name, 1, "0" * 64, 0o600) for name in names)
    found = Manifest(
        NOW, "1.0", HERE, Datastore.SQLITE, live=True, revision=5, entries=entries, left_out=()
    )
    return replace(found, **changed)  # type: ignore[arg-type]


DATABASE = "data/server/db/state.db"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"architecture": "amd64"}, ""),
        ({"architecture": "aarch64"}, "the architecture aarch64"),
        ({"k3s": "v1.36.3+k3s2"}, "an older release cannot read the datastore"),
        ({"k3s": "v1.37.0+k3s1"}, "an older release cannot read the datastore"),
        ({"k3s": "v1.36.2+k3s1"}, ""),
        ({"k3s": None}, ""),
    ],
)
def test_origins(changed: dict[str, object], why: str) -> None:
    origin = replace(HERE, **changed)  # type: ignore[arg-type]

    found = judge(manifest(DATABASE, origin=origin), HERE)

    assert found.refusals == () if not why else why in found.refusals[0]


def test_a_backup_without_a_datastore() -> None:
    assert "no datastore" in judge(manifest("data/server/token"), HERE).refusals[0]
    other = manifest(DATABASE, datastore=Datastore.ETCD)
    assert "no datastore" in judge(other, HERE).refusals[0]
    external = manifest(DATABASE, datastore=Datastore.EXTERNAL)
    assert "no datastore" in judge(external, HERE).refusals[0]


@pytest.mark.parametrize("name", ["etcd.snapshot", "etcd/member/snap/db"])
def test_a_backup_of_etcd(name: str) -> None:
    found = manifest(f"data/server/db/{name}", datastore=Datastore.ETCD)

    assert () == judge(found, HERE).refusals


def test_warnings() -> None:
    old = replace(HERE, k3s="v1.33.1+k3s1")

    assert "skipping a minor version" in judge(manifest(DATABASE, origin=old), HERE).warnings[0]
    unknown = judge(manifest(DATABASE), replace(HERE, k3s=None))
    assert unknown.refusals == ()
    assert "unknown" in unknown.warnings[0]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("data/agent/etc/containerd/config.toml.tmpl", True),
        ("data/agent/etc/containerd/config-v3.toml.d/a.toml", True),
        ("data/agent/etc/containerd/config.toml", False),
        ("data/agent/etc/containerd/x/config.toml.tmpl", False),
        ("data/data/current/bin/k3s", False),
        ("unit/50-k3s-rootless-config.conf", True),
        ("unit/00-k3s-rootless-transaction.conf", False),
        ("unit/override.conf", False),
        ("unit/a/50-k3s-rootless-config.conf", False),
        ("home/k3s/config.yaml", True),
        ("home/k3s/config.yaml.d/10.yaml", True),
        ("home/k3s/config.yaml.d/10.sh", False),
        ("home/k3s/config.yaml.d/a/10.yaml", False),
        ("home/.bashrc", False),
        ("home/.ssh/authorized_keys", False),
        ("host/etc/rancher/k3s/config.yaml", False),
    ],
)
def test_only_files_of_a_backup_are_replaced(*, name: str, allowed: bool) -> None:
    found = manifest(name)

    paths = {slot.path for slot in slots.of(found, ROOTS, CONFIG, ()) if slot.names}

    assert bool(paths) is allowed
    assert slots.skipped(found, ROOTS, CONFIG) == (() if allowed else (name,))


def test_no_configuration_file_is_replaced_if_k3s_reads_none() -> None:
    assert slots.skipped(manifest("home/.bashrc"), ROOTS, "") == ("home/.bashrc",)


def test_a_configuration_file_in_the_data_directory_is_not_replaced_twice() -> None:
    inside = ".rancher/k3s/etc/rancher/k3s/config.yaml"
    names = (f"home/{inside}", "data/etc/rancher/k3s/config.yaml")

    found = slots.of(manifest(*names), ROOTS, f"/home/alice/{inside}", ())

    assert [slot.entry for slot in found if slot.names] == ["data/etc/rancher"]


def test_trees_are_replaced_as_a_whole() -> None:
    found = manifest(DATABASE, "data/server/tls/a", "data/server/tls/etcd/b")

    by_path = {slot.path: slot.names for slot in slots.of(found, ROOTS, CONFIG, ())}

    assert by_path[ROOTS[Root.DATA] / "server/tls"] == (
        "data/server/tls/a",
        "data/server/tls/etcd/b",
    )
    assert by_path[ROOTS[Root.DATA] / "server/db/state.db-wal"] == ()
    assert slots.skipped(found, ROOTS, CONFIG) == ()


def test_files_that_the_backup_does_not_have_are_removed() -> None:
    extra = ROOTS[Root.UNIT] / "50-k3s-rootless-limits.conf"

    found = slots.of(manifest(DATABASE), ROOTS, CONFIG, (extra,))

    assert found[-1].path == extra
    assert found[-1].names == ()
