"""Tests of releases, and of what they occupy, beside a running K3s."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import K3S, Tool
from tests.machine import HOME

pytestmark = pytest.mark.lab
DATA = HOME / ".rancher/k3s"
OWN = HOME / ".local/share/k3s-rootless"


def get_from_files(tool: Tool) -> str:
    """Get the k3s of the machine as a release, and return its version."""
    script = f"mkdir -p usb && cp {K3S} usb/k3s && cd usb && sha256sum k3s >sums"
    tool.machine.user("sh", "-c", script).check_returncode()
    done = tool("release", "get", "--file", "usb/k3s", "--checksums", "usb/sums", "--json")
    assert 0 == done.returncode, done.stderr
    version: str = json.loads(done.stdout)["version"]
    return version


def know_of(tool: Tool, *versions: str) -> None:
    """Write an answer of the channels, as `release list --remote` keeps it."""
    channels = [{"name": one.partition("+")[0], "latest": one} for one in versions]
    answer = {"server": "https://x", "date": "2026-11-27T00:00:00+00:00", "channels": channels}
    tool.machine.user("tee", f"{OWN}/channels.json", stdin=json.dumps(answer)).check_returncode()


def test_a_release_is_used_checked_counted_and_purged(lab_tool: Tool) -> None:
    version = get_from_files(lab_tool)
    lab_tool("release", "use", version).check_returncode()
    lab_tool.up().check_returncode()
    lab_tool("backup", "create").check_returncode()
    know_of(lab_tool, "v1.99.1+k3s1")

    running = lab_tool.machine.user("systemctl", "--user", "cat", "k3s-rootless").stdout
    assert f'ExecStart="{OWN}/bin/k3s" server' in running
    (support,) = lab_tool.json("check", "k3s.support")["checks"]
    assert "warn" == support["verdict"]
    assert "the newest one is v1.99 (as known on 2026-11-27)" in support["reason"]
    parts = {one["name"]: one["bytes"] for one in lab_tool.json("df")["parts"]}
    assert all(parts[name] > 0 for name in ("datastore", "extractions", "releases", "backups"))

    done = lab_tool("uninstall", "--purge", "--yes")

    assert 0 == done.returncode, done.stderr
    assert f"backups are kept in {OWN}/backups" in done.stdout
    assert "of releases are removed" in done.stdout
    left = lab_tool.machine.user("find", str(OWN), "-type", "f").stdout.split()
    assert [True] == [one.startswith(f"{OWN}/backups/") for one in left]


def test_volumes_of_subordinate_ids_are_unknown_with_the_reason(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    script = f"""
        set -e
        mkdir -p {DATA}/storage/pvc-1/data
        head -c 1000000 /dev/urandom >{DATA}/storage/pvc-1/data/file
        chown -R 1500:1500 {DATA}/storage
        chown -R 100999:100999 {DATA}/storage/pvc-1/data
        chmod 700 {DATA}/storage/pvc-1/data
    """
    lab_tool.machine.root("sh", "-c", script).check_returncode()

    found = lab_tool.json("df")
    shown = lab_tool("df").stdout

    (volumes,) = (one for one in found["parts"] if one["unknown"])
    assert ("volumes", None, None) == (volumes["name"], volumes["bytes"], found["bytes"])
    assert f"{DATA}/storage/pvc-1/data cannot be read: it belongs to" in volumes["unknown"]
    assert "your subordinate id 100999 (permission denied)" in volumes["unknown"]
    assert "unknown: volumes: " in shown
    assert "at least " in shown
