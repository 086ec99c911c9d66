"""Tests of a cluster with embedded etcd under a real systemd, with a real etcd."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.conftest import Tool
from tests.lab.fixtures import absent
from tests.machine import HOME

pytestmark = pytest.mark.lab
DATABASES = HOME / ".rancher/k3s/server/db"
BACKUPS = HOME / ".local/share/k3s-rootless/backups"
RESET_UNIT = "k3s-rootless-cluster-reset.service"
PREFIX = "/registry/configmaps/default/"


@pytest.fixture
def tool(lab_tool: Tool) -> Tool:
    """Return the tool in a lab with etcd, and a stand-in that starts as fast as possible."""
    if not (shutil.which("etcd") and shutil.which("etcdctl")):
        absent("etcd", "etcd or etcdctl is not installed")
    lab_tool.order(delay=0.1, ready_delay=0.05, node_delay=0.05, deployments_delay=0.05)
    return lab_tool


def put(tool: Tool, name: str) -> None:
    """Write an object with etcdctl, inside the namespaces."""
    done = tool("shell", "--", "etcdctl", "put", f"{PREFIX}{name}", "text")
    assert 0 == done.returncode, done.stderr


def names(tool: Tool) -> set[str]:
    """Return the names of the objects."""
    done = tool("shell", "--", "etcdctl", "get", "--prefix", "--keys-only", PREFIX)
    assert 0 == done.returncode, done.stderr
    return {line.removeprefix(PREFIX) for line in done.stdout.split()}


def listed(tool: Tool, *words: str) -> list[str]:
    """Return the sorted lines of a command of the user."""
    return sorted(tool.machine.user(*words).stdout.split())


def test_a_cluster_is_converted_backed_up_and_restored(tool: Tool) -> None:
    tool.up().check_returncode()
    done = tool("config", "set", "cluster-init", "true")
    assert "state.db to etcd; nothing converts it back" in done.stderr
    assert 0 == tool("restart").returncode
    assert {"etcd", "state.db.migrated"} <= set(listed(tool, "ls", str(DATABASES)))
    put(tool, "before")

    created = tool.json("backup", "create")["backup"]
    assert ("embedded etcd", True) == (created["datastore"], created["live"])
    assert 0 == tool("backup", "verify", created["file"]).returncode
    put(tool, "after")
    assert {"before", "after"} == names(tool)

    restored = tool("backup", "restore", created["file"], "--yes")

    assert 0 == restored.returncode, restored.stderr
    assert {"before"} == names(tool)
    left = listed(tool, "find", str(DATABASES.parent), "-name", "etcd-old*", "-o", "-name", "tls-*")
    assert [] == left
    log = tool.machine.user("journalctl", "--user", "-u", RESET_UNIT).stdout
    assert "Managed etcd cluster membership has been reset" in log
    units = tool.machine.user("systemctl", "--user", "list-units", "--all", RESET_UNIT).stdout
    assert RESET_UNIT not in units

    tool("down").check_returncode()
    stopped = tool.json("backup", "create")["backup"]
    assert not stopped["live"]
    assert stopped["revision"] >= created["revision"]
    tool.up().check_returncode()
    put(tool, "later")
    assert 0 == tool("backup", "restore", stopped["file"], "--yes").returncode
    assert {"before"} == names(tool)


def test_a_snapshot_that_k3s_cannot_read_is_undone_with_its_reason(tool: Tool) -> None:
    tool("config", "set", "cluster-init", "true").check_returncode()
    tool.up().check_returncode()
    put(tool, "before")
    created = tool.json("backup", "create")["backup"]
    put(tool, "after")
    # K3s starts etcdctl for the restore: it is the program that fails.
    broken = 'case "$2" in restore) echo "no space left on device" >&2; exit 1;; esac'
    script = f'#!/bin/sh\n{broken}\nexec /usr/bin/etcdctl "$@"\n'
    tool.machine.root("tee", "/usr/local/bin/etcdctl", stdin=script).check_returncode()
    tool.machine.root("chmod", "755", "/usr/local/bin/etcdctl").check_returncode()
    try:
        done = tool("backup", "restore", created["file"], "--yes")
    finally:
        tool.machine.root("rm", "/usr/local/bin/etcdctl").check_returncode()

    assert 1 == done.returncode
    assert "K3s cannot restore the snapshot of etcd: " in done.stderr
    assert "no space left on device" in done.stderr
    assert "the earlier state was put back" in done.stderr
    assert {"before", "after"} == names(tool)
    assert "reset-flag" not in listed(tool, "ls", str(DATABASES))
