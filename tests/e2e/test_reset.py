"""Tests of scheduled backups, of interrupted backups and of resets under a real systemd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, TOOL

pytestmark = pytest.mark.lab
DATA = HOME / ".rancher/k3s"
OWN = HOME / ".local/share/k3s-rootless"
RECORD = OWN / "transaction.json"
GUARD = UNIT.with_name(f"{UNIT.name}.d") / "00-k3s-rootless-transaction.conf"
TIMER = "k3s-rootless-backup.timer"
SERVICE = "k3s-rootless-backup.service"


@pytest.fixture
def quick_tool(lab_tool: Tool) -> Tool:
    """Return the tool in the lab, with a stand-in that starts as fast as possible."""
    if lab_tool.machine.plays_k3s:
        lab_tool.order(delay=0.1, ready_delay=0.05, node_delay=0.05, deployments_delay=0.05)
    return lab_tool


def exists(tool: Tool, path: Path) -> bool:
    """Return whether a path exists on the machine."""
    return tool.machine.root("test", "-e", str(path)).returncode == 0


def state(tool: Tool, name: str) -> str:
    """Return the state of a unit."""
    return tool.machine.user("systemctl", "--user", "is-active", name).stdout.strip()


def write_record(tool: Tool, **fields: str) -> None:
    """Write the record of a transaction, as a command that is killed leaves it."""
    empty = {"phase": "staging", "running": True, "paths": [], "expected": {"data": "", "node": ""}}
    text = json.dumps({**empty, **fields})
    tool.machine.user("mkdir", "-p", str(RECORD.parent)).check_returncode()
    tool.machine.user("tee", str(RECORD), stdin=text).check_returncode()


def killed(tool: Tool, signal: str, seconds: float, *words: str) -> None:
    """Run a command, and send it a signal after some time, if it still runs then."""
    tool.machine.user("timeout", "--foreground", "-s", signal, f"{seconds}", TOOL, *words)


def test_a_schedule_creates_backups_and_is_removed(quick_tool: Tool) -> None:
    machine = quick_tool.machine
    quick_tool.up().check_returncode()

    done = quick_tool("backup", "schedule", "daily", "--keep", "2")

    assert 0 == done.returncode, done.stderr
    assert "active" == state(quick_tool, TIMER)
    ran = machine.user("systemctl", "--user", "start", SERVICE)
    assert 0 == ran.returncode, machine.user("journalctl", "--user", "-u", SERVICE).stdout
    found = quick_tool.json("backup", "schedule")
    assert ("daily", 2, True, True) == tuple(
        found[key] for key in ("schedule", "keep", "active", "lingers")
    )
    assert ("success", "succeeded") == (found["result"], found["run"]["outcome"])
    assert found["next_run"]
    (backup,) = machine.user("find", str(OWN), "-name", "*-scheduled.tar.gz").stdout.split()
    assert 0 == quick_tool("backup", "verify", backup).returncode
    status = quick_tool.json("status")
    assert status["backup"]["schedule"] == "daily"
    assert status["backup"]["last"]
    assert status["backup"]["problem"] is None

    write_record(quick_tool, kind="restore", phase="placed", archive="/a")
    assert 0 != machine.user("systemctl", "--user", "start", SERVICE).returncode
    status = quick_tool.json("status")
    assert "the restore of `/a` is not finished" in status["backup"]["problem"]
    assert "backup restore" == status["unfinished"]["what"]
    machine.user("rm", str(RECORD))

    assert 0 == quick_tool("uninstall").returncode
    assert "inactive" == state(quick_tool, TIMER)
    assert "" == machine.user("find", str(UNIT.parent), "-name", "*backup*").stdout
    assert exists(quick_tool, Path(backup))


def test_a_reset_removes_files_of_subordinate_ids_and_keeps_images(quick_tool: Tool) -> None:
    machine = quick_tool.machine
    quick_tool.up().check_returncode()
    files = f"""
        set -e
        cd {DATA}
        mkdir -p storage/pvc/closed kubelet/pods/1 agent/images
        echo x >storage/pvc/closed/file; echo x >kubelet/pods/1/file; echo x >agent/images/mine.tar
        chown -R 1500:1500 storage kubelet agent/images
        chmod 000 storage/pvc/closed; chown -R 165000:100999 storage/pvc kubelet/pods
    """
    machine.root("sh", "-c", files).check_returncode()

    done = quick_tool("reset", "--yes")

    assert 0 == done.returncode, done.stderr
    assert "the cluster is empty; K3s is ready" in done.stdout
    assert quick_tool.json("status")["ready"]
    assert not exists(quick_tool, DATA / "storage/pvc")
    assert not exists(quick_tool, DATA / "kubelet/pods/1")
    assert not exists(quick_tool, DATA / ".k3s-rootless-reset")
    assert not exists(quick_tool, RECORD)
    assert exists(quick_tool, DATA / "agent/images/mine.tar")
    (backup,) = machine.user("find", str(OWN), "-name", "*.tar.gz").stdout.split()
    assert f"saved in {backup}, with its volumes" in done.stdout
    verified = quick_tool.json("backup", "verify", backup)
    assert ["pvc"] == verified["backup"]["volumes"]["names"]


def test_a_killed_reset_is_finished_by_the_next_one(quick_tool: Tool) -> None:
    quick_tool.up().check_returncode()
    for seconds in (0.7, 1.2):
        quick_tool.machine.user("mkdir", "-p", str(DATA / "storage/pvc")).check_returncode()
        killed(quick_tool, "KILL", seconds, "reset", "--yes", "--no-backup")

        done = quick_tool("reset", "--yes", "--no-backup")

        assert 0 == done.returncode, done.stderr
        status = quick_tool.json("status")
        assert status["ready"], (done.stdout, done.stderr, status)
        assert not exists(quick_tool, DATA / "storage/pvc")
        assert not exists(quick_tool, DATA / ".k3s-rootless-reset")
        assert not exists(quick_tool, RECORD)
        assert not exists(quick_tool, GUARD)


def test_systemd_does_not_start_k3s_with_half_of_a_reset(quick_tool: Tool) -> None:
    machine = quick_tool.machine
    quick_tool.up().check_returncode()
    quick_tool("down").check_returncode()
    moved = DATA / ".k3s-rootless-reset/server-db"
    directories = (moved.parent, GUARD.parent)
    machine.user("mkdir", "-p", *map(str, directories)).check_returncode()
    machine.user("mv", str(DATA / "server/db"), str(moved)).check_returncode()
    write_record(quick_tool, kind="reset", data=str(DATA))
    condition = f"[Unit]\nConditionPathExists=!{RECORD}\n"
    machine.user("tee", str(GUARD), stdin=condition).check_returncode()
    machine.user("systemctl", "--user", "daemon-reload").check_returncode()

    machine.user("systemctl", "--user", "start", UNIT.name)
    refused = quick_tool.up()
    status = quick_tool.json("status")
    done = quick_tool("reset")

    assert 1 == refused.returncode
    assert "finish it with: k3s-rootless reset" in refused.stderr
    assert "reset" == status["unfinished"]["what"]
    assert not status["running"]
    assert 0 == done.returncode, done.stderr
    assert "active" == state(quick_tool, UNIT.name)
    assert not exists(quick_tool, moved)
    assert not exists(quick_tool, GUARD)


def test_a_backup_does_not_leave_k3s_stopped(quick_tool: Tool) -> None:
    """A signal can arrive at any moment; these moments differ from run to run."""
    quick_tool.up().check_returncode()
    for signal in ("TERM", "INT"):
        killed(quick_tool, signal, 0.8, "backup", "create", "--stop")
        assert "active" == state(quick_tool, UNIT.name)
        assert not exists(quick_tool, RECORD)

    # As a SIGKILL between stop and start leaves it.
    write_record(quick_tool, kind="backup", stopped="2999-11-27T12:00:00+00:00")
    quick_tool.machine.user("systemctl", "--user", "stop", UNIT.name).check_returncode()
    status = quick_tool("status")
    assert "unfinished   a backup with --stop was interrupted" in status.stdout
    assert "start K3s: k3s-rootless up" in status.stdout
    diagnosed = quick_tool("diagnose")
    assert "a backup with --stop was interrupted" in diagnosed.stderr

    done = quick_tool("backup", "create")

    assert 0 == done.returncode, done.stderr
    assert "active" == state(quick_tool, UNIT.name)
    assert not exists(quick_tool, RECORD)
