"""Tests of lingering without root.

With polkit, logind allows it. Without polkit, the tool refers to an administrator.
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Tool
from tests.machine import USER, Machine
from tests.vm.machine import Vm


@pytest.mark.lab
def test_lingering_without_polkit_needs_an_administrator(lab: Machine, lab_tool: Tool) -> None:
    lab.root("loginctl", "disable-linger", USER).check_returncode()

    status = lab_tool("linger")
    refused = lab_tool("linger", "on")
    up = lab_tool.up()
    off = lab_tool("linger", "off")
    lab.root("loginctl", "enable-linger", USER).check_returncode()
    on = lab_tool("linger", "on")

    assert (0, 0) == (off.returncode, on.returncode), "nothing changes, so logind is not called"
    assert 1 == status.returncode
    assert "lingering is off: K3s stops when your last session ends" in status.stdout
    assert 6 == refused.returncode, refused.stderr
    assert f"sudo loginctl enable-linger {USER}" in refused.stderr
    assert (
        "K3s stops when your last session ends; to keep it running after logout, run: k3s-rootless"
        " linger on" in up.stderr
    )
    assert lab_tool.json("linger")["lingers"]


@pytest.mark.vm
def test_lingering_with_polkit_needs_no_administrator(stock_vm: Vm) -> None:
    tool = Tool(stock_vm)

    off = tool("linger", "off")
    status = tool("linger", "status")
    on = tool("linger", "on")

    assert (0, 1, 0) == (off.returncode, status.returncode, on.returncode), off.stderr + on.stderr
    assert 0 == tool("linger").returncode
