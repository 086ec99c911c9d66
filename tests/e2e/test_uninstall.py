"""Tests of `uninstall`: it removes all files of the tool and no others.

Data of K3s is removed on request, whatever user id owns it.
"""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from tests.e2e.conftest import K3S, UNIT, Tool
from tests.lab.driver import Lab
from tests.machine import HOME, TOOL

pytestmark = pytest.mark.lab
DATA = HOME / ".rancher/k3s"
DROP_INS = UNIT.parent / f"{UNIT.name}.d"


def files(tool: Tool, *below: Path) -> list[str]:
    return sorted(
        tool.machine.root(
            "find", *map(str, below), "-not", "-type", "d", "-printf", "%p\\n"
        ).stdout.split("\n")[:-1]
    )


def test_only_files_of_the_tool_are_removed(lab_tool: Tool) -> None:
    lab_tool("config", "set", "CPUWeight", "50").check_returncode()
    lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400").check_returncode()
    lab_tool.up().check_returncode()
    left = DROP_INS / ".50-k3s-rootless-environment.conf.abcdefgh.new"
    lab_tool.machine.user("tee", str(left), stdin="as a killed run leaves it").check_returncode()
    lab_tool.machine.user(
        "tee", str(DROP_INS / "override.conf"), stdin="[Service]\nNice=1\n"
    ).check_returncode()
    lab_tool.machine.user(
        "tee", str(UNIT.parent / "other.service"), stdin="[Service]\nExecStart=/bin/true\n"
    ).check_returncode()

    done = lab_tool("uninstall")

    assert 0 == done.returncode, done.stderr
    assert [str(DROP_INS / "override.conf"), str(UNIT.parent / "other.service")] == files(
        lab_tool, HOME / ".config"
    )
    assert f"kept: {DROP_INS}/override.conf" in done.stdout
    assert f"K3s's data is kept in {DATA}" in done.stdout
    state = lab_tool.machine.user(
        "systemctl", "--user", "show", "-p", "LoadState,ActiveState", UNIT.name
    ).stdout
    assert "LoadState=not-found\nActiveState=inactive\n" == state
    again = lab_tool("uninstall")
    assert (0, "") == (again.returncode, again.stderr)
    assert 3 == lab_tool("status").returncode
    lab_tool.up().check_returncode()


def test_purge_removes_files_of_subordinate_ids_and_follows_no_link_or_mount(
    lab_tool: Tool,
) -> None:
    lab_tool.up().check_returncode()
    machine, outside = lab_tool.machine, HOME / "outside"
    machine.user("mkdir", "-p", str(outside / "d")).check_returncode()
    machine.user("tee", str(outside / "d" / "precious"), stdin="precious").check_returncode()
    hostile = f"""
        set -e
        cd {DATA}/storage
        mkdir -p pvc/closed bound deep
        echo x >pvc/file; echo x >pvc/closed/file; echo x >bound-file; echo x >kept
        chmod 000 pvc/closed; chmod 600 pvc/file
        ln -s {outside} link; ln -s / root; ln -s ../../../.. up
        touch "$(printf 'new\\nline')" "$(printf '\\377\\376')" ' ' -- -rf
        d=deep; for i in $(seq 150); do d=$d/dddddddddddddddddddddddd; done; mkdir -p $d
        chown -hR 1500:1500 .; chown -hR 165000:100999 pvc deep; chown 100000:100000 .
        mount --bind {outside} bound; mount --bind {outside}/d/precious bound-file
    """
    machine.root("sh", "-c", hostile).check_returncode()
    immutable = machine.root("chattr", "+i", str(DATA / "storage/kept")).returncode == 0
    denied = machine.user("rm", "-rf", str(DATA / "storage/pvc"))
    assert denied.returncode != 0, "an ordinary rm cannot"

    first = lab_tool("uninstall", "--purge", "--yes")
    left = files(lab_tool, DATA)
    machine.root(
        "sh", "-c", f"cd {DATA}/storage; umount bound bound-file; chattr -i kept || true"
    ).check_returncode()
    second = lab_tool("uninstall", "--purge", "--yes", "--json")

    assert 1 == first.returncode
    assert f"'{DATA}/storage/bound': another file system is mounted there" in first.stderr
    assert f"'{DATA}/storage/bound-file': it is a mount point" in first.stderr
    kept = [str(DATA / "storage/kept")] if immutable else []
    mark = str(DATA / ".k3s-rootless-purge")
    assert [
        mark,
        str(DATA / "storage/bound-file"),
        str(DATA / "storage/bound/d/precious"),
        *kept,
    ] == sorted(left)
    assert 0 == second.returncode, second.stderr
    assert 0 != machine.user("test", "-e", str(HOME / ".rancher")).returncode
    assert "precious" == machine.user("cat", str(outside / "d" / "precious")).stdout
    machine.user("rm", "-r", str(outside))


def test_files_are_removed_and_problems_reported_without_a_user_manager(lab_tool: Tool) -> None:
    lab_tool("config", "set", "CPUWeight", "50").check_returncode()
    lab_tool.up().check_returncode()
    lab_tool.machine.user("mkdir", "-p", str(HOME / "no-bus")).check_returncode()
    alone = {
        "XDG_RUNTIME_DIR": str(HOME / "no-bus"),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
    }

    done = lab_tool("uninstall", "--purge", "--yes", env=alone)

    assert 1 == done.returncode
    assert "cannot stop K3s (if it is running): cannot " in done.stderr
    assert "cannot purge: it is unknown whether K3s is still running" in done.stderr
    assert [] == files(lab_tool, HOME / ".config")
    after = lab_tool("uninstall")
    assert 0 == after.returncode, after.stderr
    assert f"stop {UNIT.name}" in after.stderr
    assert (
        "inactive"
        == lab_tool.machine.user("systemctl", "--user", "is-active", UNIT.name).stdout.strip()
    )
    lab_tool.machine.user("rm", "-r", str(HOME / "no-bus"))


def test_uninstall_works_without_k3s_and_on_an_unfit_host(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    lab_tool.machine.root("mv", K3S, "/root/k3s").check_returncode()
    lab_tool.machine.root("chmod", "u-s", "/usr/bin/newuidmap").check_returncode()
    try:
        done = lab_tool("uninstall", "--purge", "--yes")
    finally:
        lab_tool.machine.root("mv", "/root/k3s", K3S).check_returncode()
        lab_tool.machine.root("chmod", "u+s", "/usr/bin/newuidmap").check_returncode()

    assert [] == files(lab_tool, HOME / ".config")
    remains = "without a user namespace, because" in done.stderr
    assert (1 if remains else 0) == done.returncode, done.stderr


def test_a_foreign_unit_is_not_removed(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    edited = (lab_tool.unit_text() or "") + "# mine\n"
    lab_tool.machine.user("tee", str(UNIT), stdin=edited).check_returncode()

    done = lab_tool("uninstall")

    assert 7 == done.returncode
    assert edited == lab_tool.unit_text()
    forced = lab_tool("uninstall", "--force")
    assert 0 == forced.returncode, forced.stderr
    (copy,) = files(lab_tool, HOME / ".config")
    assert f"kept: {copy}" in forced.stdout
    assert edited == lab_tool.machine.user("cat", copy).stdout


def test_another_path_to_the_home_directory_is_not_a_data_directory(lab_tool: Tool) -> None:
    machine, home = lab_tool.machine, f"/h/{HOME.name}"
    machine.root("ln", "-sfn", str(HOME.parent), "/h").check_returncode()
    machine.user("mkdir", "-p", str(HOME / "data"), str(HOME / "mine")).check_returncode()
    machine.user(
        "tee", str(HOME / "data/precious"), str(HOME / "mine/precious"), stdin="precious"
    ).check_returncode()
    try:
        moved, mine = (
            lab_tool("config", "set", "data-dir", path) for path in (home, f"{home}/mine")
        )
        purged = lab_tool("uninstall", "--purge", "--yes", "--data-dir", home)
        refused = lab_tool("uninstall", "--purge", "--yes", "--data-dir", f"{home}/mine")
    finally:
        machine.root("rm", "/h").check_returncode()

    assert (2, 2, 2, 2) == (
        moved.returncode,
        mine.returncode,
        purged.returncode,
        refused.returncode,
    )
    assert "it is your home directory, or contains it" in moved.stderr
    assert "it is neither empty nor a data directory of K3s" in mine.stderr
    assert "it is your home directory, or contains it" in purged.stderr
    assert "no file that identifies a data directory of K3s" in refused.stderr
    assert "precious" == machine.user("cat", str(HOME / "data/precious")).stdout
    machine.user("rm", "-r", str(HOME / "data"), str(HOME / "mine")).check_returncode()


@pytest.mark.parametrize("reply", ["n", "y"])
def test_a_terminal_is_asked_for_confirmation(lab: Lab, lab_tool: Tool, reply: str) -> None:
    lab_tool.machine.user("mkdir", "-p", str(DATA / "server")).check_returncode()
    lab_tool.machine.user("touch", str(DATA / "server" / "token")).check_returncode()
    assert 2 == lab_tool("uninstall", "--purge").returncode
    assert 2 == lab_tool("uninstall", "--purge", "--yes", "--data-dir", str(HOME)).returncode
    lab_tool.machine.user("ln", "-sfn", str(DATA), str(HOME / "link")).check_returncode()
    assert (
        "it is a link"
        in lab_tool("uninstall", "--purge", "--yes", "--data-dir", str(HOME / "link")).stderr
    )

    ours, theirs = pty.openpty()
    with lab.at_terminal(theirs, TOOL, "uninstall", "--purge") as asking:
        os.close(theirs)
        output = b""
        while b"[y/N]" not in output:
            output += os.read(ours, 1000)
        os.write(ours, f"{reply}\n".encode())
        code = asking.wait(60)
    os.close(ours)

    assert f"Permanently remove {DATA}".encode() in output
    assert (0 if reply == "y" else 1) == code
    assert (reply == "n") == (lab_tool.machine.user("test", "-d", str(DATA)).returncode == 0)
