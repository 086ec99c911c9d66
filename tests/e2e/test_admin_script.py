"""Tests of the administrator's script on a host with many faults.

The script fixes them, changes nothing at a second run, and can undo all its changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from k3s_rootless import host_change
from k3s_rootless.paths import linger_flag
from k3s_rootless.preflight.remedies.admin_script import Host
from tests.e2e.conftest import Tool
from tests.machine import USER, Completed, Machine
from tests.preflight.remedies.test_admin_script_runs import text_of

pytestmark = pytest.mark.lab
RECORD = "/var/lib/k3s-rootless"
DAMAGE = """
sysctl -q -w net.ipv4.ip_forward=0
sed -i /^alice:/d /etc/subuid
echo bob:100000:65536 >>/etc/subuid
mv /etc/subgid /etc/subgid.elsewhere
ln -s subgid.elsewhere /etc/subgid
chmod u-s /usr/bin/newuidmap
chmod 600 /dev/net/tun
"""
STATE = (
    "for file in /etc/subuid /etc/subgid /dev/net/tun /usr/bin/newuidmap; do stat -c '%n %F %a %u'"
    " $file; readlink $file; done;cat /etc/subuid /etc/subgid; find /etc -newer /etc/machine-id"
    f" -name '*k3s-rootless*';sysctl net.ipv4.ip_forward; ls -d {RECORD} 2>&1; find /etc -name"
    " '*.new'"
)
REPAIR = f"""
rm -rf {RECORD} /etc/subgid /etc/subgid.elsewhere /etc/*.new
rm -f /etc/sysctl.d/*k3s-rootless* /etc/udev/rules.d/*k3s-rootless*
sysctl -q -w net.ipv4.ip_forward=1
echo alice:100000:65536 | tee /etc/subuid >/etc/subgid
chmod u+s /usr/bin/newuidmap
chmod 666 /dev/net/tun
"""
FIXED = ("sysctl.ip_forward", "subid", "uidmap", "device.tun")


def script(tool: Tool, *more: str) -> str:
    done = tool("check", "--admin-script", "--ignore", "cgroup", *more)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def run(machine: Machine, text: str, *args: str) -> Completed:
    machine.root("tee", "/root/script", stdin=text).check_returncode()
    return machine.root("sh", "/root/script", *args)


def failed(tool: Tool, *ids: str) -> set[str]:
    return {one["check"] for one in tool.json("check", *ids)["checks"] if one["verdict"] == "fail"}


@pytest.fixture
def damaged(lab: Machine, lab_tool: Tool) -> Iterator[Tool]:
    lab.root("sh", "-eu", "-c", DAMAGE).check_returncode()
    yield lab_tool
    lab.root("sh", "-eu", "-c", REPAIR).check_returncode()


def test_it_fixes_the_faults_and_undoes_all_changes(lab: Machine, damaged: Tool) -> None:
    before = lab.root("sh", "-c", STATE).stdout
    assert {
        "sysctl.ip_forward",
        "subid.subuid",
        "subid.files",
        "uidmap.newuidmap",
        "device.tun",
    } <= failed(damaged, *FIXED)

    text = script(damaged)
    done = run(lab, text)

    assert 0 == done.returncode, done.stderr + done.stdout
    assert set() == failed(damaged, *FIXED)
    rows = lab.root("cat", "/etc/subuid").stdout.splitlines()
    assert "bob:100000:65536" in rows
    assert f"{USER}:165536:65536" in rows, "neither the ids of bob nor the group ids of alice"

    after = lab.root("sh", "-c", STATE).stdout
    again = run(lab, text)
    assert 0 == again.returncode, again.stderr
    assert after == lab.root("sh", "-c", STATE).stdout, "a second run changes nothing"

    undone = run(lab, text, "--undo")
    assert 0 == undone.returncode, undone.stderr + undone.stdout
    assert before == lab.root("sh", "-c", STATE).stdout
    assert 0 == run(lab, text, "--undo").returncode, (
        "nothing is left to undo, and that is not an error"
    )


def test_the_undo_script_works_alone(lab: Machine, damaged: Tool) -> None:
    before = lab.root("sh", "-c", STATE).stdout
    run(lab, script(damaged)).check_returncode()

    undone = run(lab, script(damaged, "--undo"))

    assert 0 == undone.returncode, undone.stderr
    assert before == lab.root("sh", "-c", STATE).stdout


@pytest.mark.parametrize("steps", range(5, 100, 12))
def test_a_script_that_is_killed_at_any_command_can_be_undone(
    lab: Machine, damaged: Tool, steps: int
) -> None:
    before = lab.root("sh", "-c", STATE).stdout
    text = script(damaged)
    # The shell of the script is killed at the nth call of a function, as a power cut would end it.
    counted = text.replace(
        "print_line() {",
        "n=0\ncount() { n=$((n + 1)); [ $n -lt LIMIT ] || kill -9 $$; }\n"
        "print_line() {\n    count;",
        1,
    )
    for name in ("record_change", "write_file"):
        counted = counted.replace(f"\n{name}() {{\n", f"\n{name}() {{\n    count\n", 1)

    run(lab, counted.replace("LIMIT", str(steps // 4)))
    undone = run(lab, text, "--undo")

    assert 0 == undone.returncode, undone.stderr + undone.stdout
    assert before == lab.root("sh", "-c", STATE).stdout


def test_a_full_disk_leaves_the_tables_complete(lab: Machine, damaged: Tool) -> None:
    text = script(damaged)
    lab.root("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/etc/sysctl.d").check_returncode()
    lab.root("sh", "-c", "yes | head -c 4096 >/etc/sysctl.d/ballast")
    try:
        stopped = run(lab, text)
    finally:
        lab.root("umount", "/etc/sysctl.d")

    assert 0 != stopped.returncode
    assert "stopped in step" in stopped.stderr
    assert 0 == run(lab, text).returncode, "a script that stopped can be run again"


def test_it_refuses_other_users_and_unknown_options(lab: Machine, damaged: Tool) -> None:
    text = script(damaged)
    lab.root("tee", "/root/script", stdin=text).check_returncode()
    lab.root("install", "-m", "644", "/root/script", "/tmp/script").check_returncode()

    assert "run this script as root" in lab.user("sh", "/tmp/script").stderr
    assert 2 == lab.root("sh", "/tmp/script", "--und").returncode


def test_a_host_without_failures_gets_no_script(lab_tool: Tool) -> None:
    done = lab_tool("check", "--admin-script", "sysctl.ip_forward", "subid")

    assert (0, "") == (done.returncode, done.stdout)
    assert "no change by an administrator is needed" in done.stderr


def test_the_script_as_json(damaged: Tool) -> None:
    done = damaged("check", "--admin-script", "--json", "sysctl.ip_forward")

    document = json.loads(done.stdout)
    assert "k3s-rootless/check/v2" == document["schema"]
    assert ["sysctl.ip_forward"] == document["covers"]
    assert document["script"].startswith("#!/bin/sh\n")
    assert document["script"] == damaged("check", "--admin-script", "sysctl.ip_forward").stdout


@pytest.fixture(params=["CORP\\bob", "bjørn"])
def foreign_user(lab: Machine, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield a user of a directory service, with a name that logind escapes."""
    name: str = request.param
    tables = "for table in passwd group subuid subgid; do {}; done"
    lab.root("sh", "-c", tables.format("cp -p /etc/$table /etc/$table.kept")).check_returncode()
    lab.root(
        "tee", "-a", "/etc/passwd", stdin=f"{name}:x:1700:1700::/tmp:/bin/sh\n"
    ).check_returncode()
    lab.root("tee", "-a", "/etc/group", stdin=f"{name}:x:1700:\n").check_returncode()
    yield name
    lab.root("loginctl", "disable-linger", "1700")
    lab.root("sh", "-c", tables.format("mv /etc/$table.kept /etc/$table")).check_returncode()


@pytest.mark.parametrize("before", [True, False], ids=["lingers before", "does not linger before"])
def test_such_a_user_gets_ids_once_and_lingers_afterwards_as_before(
    lab: Machine,
    foreign_user: str,
    before: bool,  # noqa: FBT001
) -> None:
    """The user manager of this user does not start (PAM does not know the name).

    logind therefore answers no query.
    """
    host = Host(foreign_user, 1700, "debian", "1")
    text = text_of(
        host_change.SubordinateIds(foreign_user), host_change.Linger(foreign_user), host=host
    )
    flags = ("ls", "--quoting-style=literal", "/var/lib/systemd/linger")
    if before:
        lab.root("loginctl", "enable-linger", "1700").check_returncode()
    lingering = lab.root(*flags).stdout

    for _ in range(2):
        done = run(lab, text)
        assert 0 == done.returncode, done.stderr
        rows = lab.root("cat", "/etc/subuid").stdout.splitlines()
        assert 1 == sum(row.startswith(f"{foreign_user}:") for row in rows), rows
        assert linger_flag(foreign_user) in lab.root(*flags).stdout.splitlines()
    assert 0 == run(lab, text, "--undo").returncode

    assert foreign_user not in lab.root("cat", "/etc/subuid").stdout
    assert lingering == lab.root(*flags).stdout
