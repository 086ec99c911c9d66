"""Tests that the user manager decides where units are: its XDG_CONFIG_HOME can differ."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, UID, Machine

pytestmark = pytest.mark.lab
MOVED = HOME / "moved"
SETTING = "/etc/systemd/system/user@.service.d/moved.conf"


def test_the_configuration_directory_of_the_shell_is_ignored(lab_tool: Tool) -> None:
    lab_tool("install", env={"XDG_CONFIG_HOME": str(MOVED)}).check_returncode()

    assert lab_tool.unit_text() is not None
    assert 0 != lab_tool.machine.user("test", "-e", str(MOVED)).returncode


def test_all_files_are_written_where_the_user_manager_reads_units(
    lab: Machine, lab_tool: Tool
) -> None:
    restart = f"systemctl daemon-reload && systemctl restart user@{UID}.service"
    setting = f"[Service]\nEnvironment=XDG_CONFIG_HOME={MOVED}\n"
    lab.root("mkdir", "-p", SETTING.rpartition("/")[0]).check_returncode()
    lab.root("tee", SETTING, stdin=setting).check_returncode()
    lab.root("sh", "-c", restart).check_returncode()
    try:
        lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400").check_returncode()
        lab_tool("config", "set", "CPUWeight", "50").check_returncode()
        lab_tool("install").check_returncode()
        paths = [file["path"] for file in lab_tool.json("unit", "show")["files"]]
        weight = lab.user("systemctl", "--user", "show", "-P", "CPUWeight", UNIT.name).stdout
        lab_tool("uninstall").check_returncode()
        left = lab.user("find", str(MOVED), "-name", "*k3s*").stdout
    finally:
        lab.root("rm", SETTING)
        lab.root("sh", "-c", restart).check_returncode()
        lab.user("rm", "-rf", str(MOVED)).check_returncode()

    assert 3 == len(paths)
    assert all(path.startswith(f"{MOVED}/systemd/user/{UNIT.name}") for path in paths), paths
    assert ("50\n", "") == (weight, left)
