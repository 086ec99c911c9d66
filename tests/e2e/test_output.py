"""Tests that the work of a command does not depend on its output.

A terminal of any width shows in full what users copy.
"""

from __future__ import annotations

import re
import shlex

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import TOOL, Completed

pytestmark = pytest.mark.lab


def typed(tool: Tool, columns: int, *args: str) -> Completed:
    """Run a command on a terminal with this number of columns."""
    script = f"import pty, sys; sys.exit(pty.spawn({[TOOL, *args]!r}) >> 8)"
    environ = {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "200", "NO_COLOR": "1"}
    done = tool.machine.user("python3", "-c", script, env=environ)
    assert "Traceback" not in done.stdout
    return done


def in_shell(tool: Tool, script: str) -> Completed:
    ignore = shlex.join(tool.ignore)
    return tool.machine.user("bash", "-c", script.format(tool=TOOL, ignore=ignore), timeout=240)


def test_output_without_a_reader_does_not_stop_a_command(lab_tool: Tool) -> None:
    installed = in_shell(lab_tool, "{tool} install 2>/dev/full")
    assert (0, "") == (installed.returncode, installed.stderr)
    assert lab_tool.unit_text()
    assert lab_tool.json("status")["running"] is False

    up = in_shell(lab_tool, "{tool} up {ignore} 2>&1 | head -1; echo ended ${{PIPESTATUS[0]}}")
    assert "ended 0" == up.stdout.splitlines()[-1]
    assert lab_tool.json("status")["ready"]

    status = in_shell(lab_tool, "{tool} status | head -1; echo ended ${{PIPESTATUS[0]}}")
    assert ["K3s          ready", "ended 0"] == status.stdout.splitlines()

    lost = in_shell(lab_tool, "{tool} down >/dev/full")
    assert (1, True) == (
        lost.returncode,
        lost.stderr.endswith("error: cannot write the output: no space left on device\n"),
    )
    assert lab_tool.json("status")["running"] is False

    removed = in_shell(lab_tool, "{tool} uninstall 2>/dev/full")
    assert (0, "") == (removed.returncode, removed.stderr)
    assert lab_tool.unit_text() is None
    assert 0 != lab_tool.machine.user("systemctl", "--user", "cat", UNIT.name).returncode


def test_a_running_k3s_is_not_started_again_and_is_ready_at_once(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()

    unwaited = lab_tool.up("--no-wait")
    at_once = lab_tool.up("--timeout", "0")

    assert (
        "K3s was already running; check whether it is ready with: k3s-rootless status\n"
        == unwaited.stdout
    )
    assert (0, True) == (at_once.returncode, at_once.stdout.startswith("K3s is ready ("))
    assert [2, 2] == [lab_tool("ports", number).returncode for number in ("0", "99999")]


def test_text_to_copy_is_never_cut(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    found = lab_tool.json("ports")["ports"]
    urls = {row["url"] for row in found if row["url"]}
    targets = {row["target"] for row in found}
    assert urls
    for columns in (80, 50, 40):
        for args in (
            ("ports",),
            ("ports", "--probe"),
            ("status",),
            ("check",),
            ("config", "list"),
            ("env", "list"),
        ):
            done = typed(lab_tool, columns, *args)
            lines = [
                re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", line.rstrip("\r"))
                for line in done.stdout.split("\n")
            ]
            # A wider line is a single word after its label, or a command: the terminal wraps it,
            # and copies it whole.
            wide = [
                line
                for line in lines
                if len(line) > columns and not re.match(r"\s*(`|\$ |sudo )", line)
            ]
            assert all(
                len(re.split(r"\s{2,}|: ", line.strip())[-1].split()) == 1 for line in wide
            ), (columns, args, wide)
            if args[0] == "ports":
                shown = set(" ".join(lines).split())
                assert urls <= shown, (columns, args)
                assert all(set(target.split()) <= shown for target in targets), (columns, args)
                assert all(f"*:{row['parent_port']}" in shown for row in found if row["forwarded"])
