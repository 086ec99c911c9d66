"""Volumes and PersistentVolumes of a K3s under a real systemd, restored here and for another user.

The ids come from a real newuidmap with ranges in /etc/subuid.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.backup.test_persistent_volumes import ENCODED
from tests.e2e.conftest import Tool
from tests.e2e.upgrading import OWN
from tests.machine import HOME, TOOL, Completed, Machine
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
BOB = 1600
RECORD = OWN / "transaction.json"
_DATA = ".rancher/k3s"
_NAME = "storage/pvc-local_default_data"
_VOLUME = f"{_DATA}/{_NAME}"
_FILL = f"""
set -e
umask 022
mkdir -m 700 -p {_DATA}/storage
mkdir -m 777 {_VOLUME}
cd {_VOLUME}
echo first >file
chown 999:999 file
chmod 4640 file
ln file hard-link
ln -s /etc/passwd absolute
truncate -s 10M sparse
touch -d 2001-02-03T04:05:06.789 file
"""
_STORE = """
import sqlite3, sys
key, value = sys.argv[1], bytes.fromhex(sys.argv[2])
database = sqlite3.connect(sys.argv[3])
statement = "INSERT INTO kine (name, created, deleted, value) VALUES (?, 1, 0, ?)"
database.execute(statement, (key, value))
database.commit()
"""
_LOAD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
found = database.execute("SELECT value FROM kine WHERE name = ?", (sys.argv[2],))
print(found.fetchone()[0].hex())
"""
_KEY = "/registry/persistentvolumes/pvc-local"


@pytest.fixture
def tool(lab_tool: Tool) -> Tool:
    """Return the tool on a machine with a running K3s, a volume and its PersistentVolume."""
    assert 0 == lab_tool.up().returncode
    machine = lab_tool.machine
    in_namespace(machine, _FILL).check_returncode()
    value = ENCODED["protobuf"]["pvc-local"]
    database = str(HOME / ".rancher/k3s/server/db/state.db")
    machine.user("python3", "-c", _STORE, _KEY, value.hex(), database).check_returncode()
    return lab_tool


def in_namespace(machine: Machine, script: str) -> Completed:
    """Run a script of alice as root of a user namespace with all her ids."""
    return machine.user("unshare", "--map-auto", "--map-root-user", "sh", "-c", script)


def listed(machine: Machine, data: str) -> list[str]:
    """Return owner, mode, links, size, blocks and time of the files of the volume."""
    command = ("find", f"{data}/{_NAME}", "-printf", r"%P %U:%G %m %n %s %b %T@ %l\n")
    return sorted(machine.root(*command).stdout.splitlines())


def created(tool: Tool, *options: str) -> str:
    """Create a backup, and return its path."""
    done = tool("backup", "create", "--volumes", *options)
    assert 0 == done.returncode, done.stderr
    found = re.search(r"wrote (\S+)", done.stdout)
    assert found
    assert "Volumes in it: 1 " in done.stderr
    assert ("may be inconsistent" in done.stderr) is ("--stop" not in options)
    return found[1]


def test_volumes_come_back(tool: Tool) -> None:
    machine = tool.machine
    before = listed(machine, f"{HOME}/{_DATA}")
    assert any(one.startswith("file 100998:100998 4640 2 6 ") for one in before)
    file = created(tool)
    in_namespace(machine, f"rm {_VOLUME}/file; echo second >{_VOLUME}/later").check_returncode()

    done = tool("backup", "restore", file, "--yes")

    assert 0 == done.returncode, done.stderr
    assert before == listed(machine, f"{HOME}/{_DATA}")
    left = machine.root("find", str(HOME / ".rancher/k3s"), "-name", ".*k3s-rootless-*").stdout
    assert "" == left


def test_a_killed_restore_with_volumes_is_undone(tool: Tool) -> None:
    machine = tool.machine
    file = created(tool)
    in_namespace(machine, f"rm {_VOLUME}/file; echo second >{_VOLUME}/later").check_returncode()
    before = listed(machine, f"{HOME}/{_DATA}")
    with machine.popen(TOOL, "backup", "restore", file, "--yes") as running:
        deadline = time.monotonic() + PATIENCE
        while '"placed"' not in machine.user("cat", str(RECORD)).stdout:
            assert running.poll() is None, running.stderr and running.stderr.read()
            assert time.monotonic() < deadline
        running.kill()
    assert before != listed(machine, f"{HOME}/{_DATA}")
    for refused in (tool.up(), tool("up", "--dry-run"), tool("restart")):
        assert 1 == refused.returncode
        assert "backup restore --abort" in refused.stderr

    done = tool("backup", "restore", "--abort")

    assert 0 == done.returncode, done.stderr
    assert before == listed(machine, f"{HOME}/{_DATA}")
    assert "" == machine.root("find", str(HOME), "-name", ".*k3s-rootless-re*").stdout
    assert machine.user("test", "-e", str(RECORD)).returncode
    assert "ready" == tool.json("status")["state"]


@pytest.fixture
def bob(lab_tool: Tool) -> Iterator[str]:
    """Yield the home directory of a second user with other subordinate ids and a user manager."""
    machine = lab_tool.machine
    script = f"""
    set -e
    useradd --uid {BOB} --create-home --shell /bin/bash bob
    for kind in uid gid; do
        sed -i /^bob:/d /etc/sub$kind
        echo bob:300000:65536 >>/etc/sub$kind
    done
    cp -R {HOME}/.k3s-standin.json /home/bob/ 2>/dev/null || true
    chown -R bob: /home/bob
    systemctl start user@{BOB}.service
    """
    machine.root("sh", "-c", script).check_returncode()
    before = machine.root("hostname").stdout.strip()
    yield "/home/bob"
    machine.root("hostname", before).check_returncode()
    machine.root("sh", "-c", f"systemctl stop user@{BOB}.service; userdel --remove bob")


def as_bob(machine: Machine, *command: str) -> Completed:
    """Run a command as the second user."""
    environment = (f"XDG_RUNTIME_DIR=/run/user/{BOB}", "HOME=/home/bob", "LANG=C.UTF-8")
    path = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    become = ("setpriv", f"--reuid={BOB}", f"--regid={BOB}", "--init-groups", "env", "-i", path)
    return machine.root(*become, *environment, *command, timeout=240)


def test_another_user_host_name_and_data_directory(tool: Tool, bob: str) -> None:
    machine = tool.machine
    data = f"{bob}/k3s"
    node = machine.root("hostname").stdout.strip()
    before = listed(machine, f"{HOME}/{_DATA}")
    file = created(tool, "--stop")
    assert 0 == tool("down").returncode
    machine.root("install", "-o", "bob", "-m", "600", file, f"{bob}/backup.tar.gz")
    machine.root("hostname", "elsewhere").check_returncode()
    installed = as_bob(machine, TOOL, "install")
    assert 0 == installed.returncode, installed.stderr
    as_bob(machine, TOOL, "config", "set", "data-dir", data).check_returncode()

    refused = as_bob(machine, TOOL, "backup", "restore", "backup.tar.gz")
    assert 1 == refused.returncode
    done = as_bob(machine, TOOL, "backup", "restore", f"{bob}/backup.tar.gz", "--yes", "--json")

    assert 0 == done.returncode, done.stderr
    adapted = json.loads(done.stdout)["adapted"]
    assert any("from the user alice" in one for one in adapted)
    assert any(f"its node is named {node}, and keeps this name" in one for one in adapted)
    after = listed(machine, data)
    moved = [
        one.replace("100998:100998", "300998:300998").replace("1500:1500", f"{BOB}:{BOB}")
        for one in before
    ]
    assert moved == after
    database = f"{data}/server/db/state.db"
    stored = bytes.fromhex(as_bob(machine, "python3", "-c", _LOAD, database, _KEY).stdout)
    assert f"{data}/{_NAME}".encode() in stored
    assert b"/home/alice" not in stored
    kubeconfig = machine.root("cat", f"{data}/server/cred/admin.kubeconfig").stdout
    assert f"{data}/server/tls" in kubeconfig
    status = json.loads(as_bob(machine, TOOL, "status", "--json").stdout)
    assert (status["state"], status["node"]) == ("ready", node)
