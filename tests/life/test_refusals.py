"""What somebody edited is never overwritten, and what cannot be written leaves things as they were."""

from __future__ import annotations

import pytest

from tests.life.conftest import UNIT, Tool
from tests.machine import UID, Machine

pytestmark = pytest.mark.lab
FOREIGN = "[Service]\nExecStart=/bin/sleep infinity\n"


def put(tool: Tool, text: str) -> None:
    tool.machine.user("mkdir", "-p", str(UNIT.parent)).check_returncode()
    tool.machine.user("tee", str(UNIT), stdin=text).check_returncode()


def test_a_unit_that_is_not_ours_is_kept(lab_tool: Tool) -> None:
    put(lab_tool, FOREIGN)

    refused = lab_tool.up()

    assert 7 == refused.returncode
    assert "not written by k3s-rootless" in refused.stderr
    assert "hint:" in refused.stderr
    assert FOREIGN == lab_tool.unit_text()


def test_an_edited_unit_is_kept_until_forced_and_then_in_a_copy(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    edited = (lab_tool.unit_text() or "").replace("RestartSec=2", "RestartSec=9")
    put(lab_tool, edited)

    refused = lab_tool.up()
    forced = lab_tool.up("--force")

    assert 7 == refused.returncode
    assert "edited since" in refused.stderr
    assert 0 == forced.returncode, forced.stderr
    assert "RestartSec=2" in (lab_tool.unit_text() or "")
    backup = lab_tool.machine.user("sh", "-c", f"cat {UNIT}.*.bak").stdout
    assert edited == backup


def test_a_unit_for_another_release_is_upgraded_with_a_word(lab_tool: Tool) -> None:
    lab_tool.order(version="v1.32.3+k3s1")
    lab_tool.up().check_returncode()
    lab_tool.order(version="v1.33.4+k3s1")

    upgraded = lab_tool.up()

    assert 0 == upgraded.returncode, upgraded.stderr
    assert "it was written for K3s v1.32.3+k3s1, and v1.33.4+k3s1 is installed" in upgraded.stderr
    assert "restart k3s-rootless.service" in upgraded.stderr
    assert "v1.33.4+k3s1" == lab_tool.json("status")["release"]


def test_a_masked_unit_is_told(lab_tool: Tool) -> None:
    lab_tool.machine.user("systemctl", "--user", "mask", UNIT.name).check_returncode()

    refused = lab_tool.up()

    assert 7 == refused.returncode, refused.stderr
    assert "masked" in refused.stderr
    assert f"systemctl --user unmask {UNIT.name}" in refused.stderr


@pytest.mark.parametrize("how", ["read-only", "full", "foreign"])
def test_a_directory_that_cannot_be_written_leaves_things_as_they_were(lab: Machine, lab_tool: Tool, how: str) -> None:
    directory = str(UNIT.parent)
    lab.user("mkdir", "-p", directory).check_returncode()
    if how == "read-only":
        lab.root("mount", "-t", "tmpfs", "-o", f"ro,uid={UID},gid={UID}", "tmpfs", directory).check_returncode()
    elif how == "full":
        lab.root(
            "mount", "-t", "tmpfs", "-o", f"size=4k,nr_inodes=3,uid={UID},gid={UID}", "tmpfs", directory
        ).check_returncode()
        lab.user("sh", "-c", f"yes | head -c 4096 > {directory}/ballast")
    else:
        lab.root("chown", "root:root", directory).check_returncode()
    try:
        before = lab.user("ls", "-a", directory).stdout
        refused = lab_tool.up()

        assert 1 == refused.returncode, refused.stderr
        assert f"error: cannot write `{UNIT}`" in refused.stderr or f"error: cannot write into `{directory}`" in refused.stderr
        assert "hint:" in refused.stderr
        assert before == lab.user("ls", "-a", directory).stdout
    finally:
        if how == "foreign":
            lab.root("chown", f"{UID}:{UID}", directory)
        else:
            lab.root("umount", directory)
