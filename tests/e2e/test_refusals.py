"""Tests that edited files are never overwritten, and that a failed write changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import TOOL, UID, Machine

pytestmark = pytest.mark.lab
FOREIGN = "[Service]\nExecStart=/bin/sleep infinity\n"


def put(tool: Tool, text: str) -> None:
    tool.machine.user("mkdir", "-p", str(UNIT.parent)).check_returncode()
    tool.machine.user("tee", str(UNIT), stdin=text).check_returncode()


def test_a_foreign_unit_is_kept(lab_tool: Tool) -> None:
    put(lab_tool, FOREIGN)

    refused = lab_tool.up()

    assert 7 == refused.returncode
    assert "not written by k3s-rootless" in refused.stderr
    assert "hint:" in refused.stderr
    assert FOREIGN == lab_tool.unit_text()


def test_an_edited_unit_is_replaced_with_force_only_and_copied(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    edited = (lab_tool.unit_text() or "").replace("RestartSec=2", "RestartSec=9")
    put(lab_tool, edited)

    refused = lab_tool.up()
    kept = lab_tool.unit_text()
    unconfirmed = lab_tool.up("--force")
    still = lab_tool.unit_text()
    forced = lab_tool.up("--force", "--restart")

    assert 7 == refused.returncode
    assert "edited since" in refused.stderr
    assert (2, kept) == (unconfirmed.returncode, still)
    assert 0 == forced.returncode, forced.stderr
    assert "RestartSec=2" in (lab_tool.unit_text() or "")
    backup = lab_tool.machine.user("sh", "-c", f"cat {UNIT}.*.bak").stdout
    assert edited == backup


ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def typed(tool: Tool, answer: str, *args: str) -> tuple[int, str]:
    """Run a command on a terminal, and type an answer.

    Returns the exit code and the text on the terminal.
    """
    command = ("python3", "-c", ON_TERMINAL, TOOL, *args)
    done = tool.machine.user(*command, stdin=f"{answer}\n", env={"TERM": "dumb"})
    return done.returncode, done.stdout


def test_a_running_k3s_is_not_restarted_without_confirmation(lab_tool: Tool) -> None:
    lab_tool.order(version="v1.33.4+k3s1")
    lab_tool.up().check_returncode()
    before = (lab_tool.unit_text(), lab_tool.json("status")["unit"]["invocation"])
    lab_tool.order(version="v1.32.3+k3s1")

    shown = lab_tool.up("--dry-run")
    planned = json.loads(lab_tool.up("--dry-run", "--json").stdout)["restart"]
    refused = lab_tool.up()
    document = json.loads(lab_tool.up("--json").stdout)
    no = typed(lab_tool, "n", "up", *lab_tool.ignore)
    after = (lab_tool.unit_text(), lab_tool.json("status")["unit"]["invocation"])
    yes = typed(lab_tool, "y", "up", *lab_tool.ignore)

    outage = (
        "K3s must restart for the downgrade from v1.33.4+k3s1 to v1.32.3+k3s1, and all pods stop; "
        "K3s v1.32.3+k3s1 may not be able to read the datastore of v1.33.4+k3s1"
    )
    assert 0 == shown.returncode
    assert outage in shown.stdout
    assert ("v1.33.4+k3s1", "v1.32.3+k3s1", True) == (
        planned["from"],
        planned["to"],
        planned["downgrade"],
    )
    assert 2 == refused.returncode
    assert f"error: cannot apply the changes: {outage}" in refused.stderr
    assert "k3s-rootless up --restart" in refused.stderr
    assert planned == document["errors"][0].get("restart", document.get("restart"))
    assert (1, True) == (no[0], "nothing was changed: K3s keeps running" in no[1]), no
    assert before == after
    assert 0 == yes[0], yes
    assert "v1.32.3+k3s1" == lab_tool.json("status")["release"]


def test_a_unit_for_another_release_is_upgraded_and_reported(lab_tool: Tool) -> None:
    lab_tool.order(version="v1.32.3+k3s1")
    lab_tool.up().check_returncode()
    lab_tool.order(version="v1.33.4+k3s1")

    upgraded = lab_tool.up("--restart")

    assert 0 == upgraded.returncode, upgraded.stderr
    assert "it was written for K3s v1.32.3+k3s1, but v1.33.4+k3s1 is installed" in upgraded.stderr
    assert "restart k3s-rootless.service" in upgraded.stderr
    assert "v1.33.4+k3s1" == lab_tool.json("status")["release"]


def test_a_masked_unit_is_reported(lab_tool: Tool) -> None:
    lab_tool.machine.user("systemctl", "--user", "mask", UNIT.name).check_returncode()

    refused = lab_tool.up()

    assert 7 == refused.returncode, refused.stderr
    assert "masked" in refused.stderr
    assert f"systemctl --user unmask {UNIT.name}" in refused.stderr


@pytest.mark.parametrize("how", ["read-only", "full", "foreign"])
def test_nothing_changes_if_the_directory_cannot_be_written(
    lab: Machine, lab_tool: Tool, how: str
) -> None:
    directory = str(UNIT.parent)
    lab.user("mkdir", "-p", directory).check_returncode()
    if how == "read-only":
        lab.root(
            "mount", "-t", "tmpfs", "-o", f"ro,uid={UID},gid={UID}", "tmpfs", directory
        ).check_returncode()
    elif how == "full":
        lab.root(
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size=4k,nr_inodes=3,uid={UID},gid={UID}",
            "tmpfs",
            directory,
        ).check_returncode()
        lab.user("sh", "-c", f"yes | head -c 4096 > {directory}/ballast")
    else:
        lab.root("chown", "root:root", directory).check_returncode()
    try:
        before = lab.user("ls", "-a", directory).stdout
        refused = lab_tool.up()

        assert 1 == refused.returncode, refused.stderr
        assert (
            f"error: cannot write `{UNIT}`" in refused.stderr
            or f"error: cannot write to `{directory}`" in refused.stderr
        )
        assert "hint:" in refused.stderr
        assert before == lab.user("ls", "-a", directory).stdout
    finally:
        if how == "foreign":
            lab.root("chown", f"{UID}:{UID}", directory)
        else:
            lab.root("umount", directory)
