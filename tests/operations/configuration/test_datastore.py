"""Tests of what `config set cluster-init` reports about the datastore."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.operations.configuration import change, datastore
from tests.fakes.managed_host import TEXT, ManagedHost
from tests.operations import unit

COMMAND = ("/usr/local/bin/k3s", "server", "--rootless")


@pytest.fixture
def data(host: ManagedHost) -> Path:
    """Return the data directory of an installed K3s."""
    host.install()
    return host.context.paths.data


def reported(host: ManagedHost, value: str, *flags: str) -> str:
    """Set cluster-init, and return what is reported about it.

    The fake user manager reads no ExecStart= of a drop-in.
    """
    argv = [*COMMAND, f"--data-dir={host.context.paths.data}", *flags, f"--cluster-init={value}"]
    command = [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0]]
    host.bus.order(properties={"ExecStart": ("a(sasbttttuii)", command)})
    host.events.clear()
    change.change(host.context, {datastore.NAME: (value,)}, force=False)
    lines = unit.notices(host.events)
    return "\n".join(line for line in lines if line.startswith("cluster-init: "))


def sqlite(data: Path) -> None:
    """Write a datastore of SQLite."""
    (data / "server/db").mkdir(parents=True)
    (data / "server/db/state.db").write_bytes(b"")


def etcd(data: Path) -> None:
    """Write the log of etcd."""
    (data / "server/db/etcd/member/wal").mkdir(parents=True)


def test_sqlite_is_converted_by_the_next_start(host: ManagedHost, data: Path) -> None:
    sqlite(data)

    text = reported(host, "true")

    assert f"converts {data}/server/db/state.db to etcd; nothing converts it back" in text
    assert "config unset cluster-init && k3s-rootless backup create" in text
    assert "empty cluster" not in text
    assert reported(host, "false") == ""


def test_an_early_release_may_start_with_an_empty_cluster(host: ManagedHost) -> None:
    who = "K3s for this user, without root. Written by k3s-rootless"
    host.install(f"# {who} for K3s v1.21.14+k3s1; by a test\n{TEXT}")
    sqlite(host.context.paths.data)

    assert "K3s v1.21.14+k3s1 is not known to convert SQLite" in reported(host, "true")


def test_a_new_cluster_begins_with_etcd(host: ManagedHost, data: Path) -> None:
    assert not data.exists()
    assert "the first start creates the cluster in etcd" in reported(host, "true")


def test_etcd_stays_in_use(host: ManagedHost, data: Path) -> None:
    etcd(data)

    assert "is already in use" in reported(host, "true")
    assert "K3s continues to use etcd" in reported(host, "false")


def test_an_external_datastore_is_not_converted(host: ManagedHost, data: Path) -> None:
    sqlite(data)

    text = reported(host, "true", "--datastore-endpoint=mysql://u:secret@x")

    assert "without effect while datastore-endpoint is set" in text
    assert "secret" not in text
