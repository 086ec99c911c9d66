"""Tests that a command killed at any instant can be run again, and then finishes its work."""

from __future__ import annotations

import os
import time

import pytest

from tests.e2e import killing
from tests.e2e.conftest import UNIT, Tool
from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import TOOL, Machine
from tests.patience import PATIENCE

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("KILLING_SEED") or int.from_bytes(os.urandom(4), "little"))
pytestmark = [pytest.mark.lab, pytest.mark.timeout(600 + 10 * KILLS)]


def test_the_next_run_finishes_a_command_killed_at_random_instants(lab: Lab) -> None:
    tally = killing.run(lab, KILLS, (), seed=SEED)

    assert [] == tally.wrong, f"seed {SEED}"
    assert KILLS <= tally.kills


def test_a_failed_system_call_is_reported_and_the_next_run_finishes(lab: Lab) -> None:
    """Some calls on our files and on the bus, in one way each.

    `python -m tests.e2e.killing` runs all calls in every way.
    """
    tally = killing.run(
        lab, 0, ("config set", "env set, the first", "env unset", "uninstall"), most=5, seed=SEED
    )

    assert [] == tally.wrong, f"seed {SEED}"
    assert tally.faults >= 15


def test_an_incomplete_installation_is_finished(lab_tool: Tool) -> None:
    """The unit file exists, but systemd has not loaded it: a kill between write and reload."""
    lab_tool.up().check_returncode()
    text = lab_tool.unit_text()
    fresh(lab_tool.machine)
    lab_tool.machine.user("mkdir", "-p", str(UNIT.parent)).check_returncode()
    lab_tool.machine.user("tee", str(UNIT), stdin=text).check_returncode()
    lab_tool.machine.user(
        "touch", str(UNIT.parent / f".{UNIT.name}.abcdefgh.new")
    ).check_returncode()

    done = lab_tool.up()

    assert 0 == done.returncode, done.stderr
    assert "enable k3s-rootless.service" in done.stderr


def test_a_k3s_started_before_its_unit_was_written_is_restarted(lab_tool: Tool) -> None:
    """As after a kill between the write of an upgrade and its restart."""
    lab_tool.up().check_returncode()
    before = lab_tool.json("status")["unit"]["invocation"]
    time.sleep(2.1)
    lab_tool.machine.user("touch", str(UNIT)).check_returncode()

    done = lab_tool.up("--restart")

    assert 0 == done.returncode, done.stderr
    assert "restart k3s-rootless.service" in done.stderr
    assert before != lab_tool.json("status")["unit"]["invocation"]


def test_two_concurrent_runs_start_one_k3s(lab: Machine, lab_tool: Tool) -> None:
    with (
        lab.popen(TOOL, "up", *lab_tool.ignore) as first,
        lab.popen(TOOL, "up", *lab_tool.ignore) as second,
    ):
        ends = [one.wait(PATIENCE) for one in (first, second)]
        stories = [one.stderr.read() for one in (first, second) if one.stderr]

    assert [0, 0] == ends, stories
    assert 1 == sum("nothing to do" in story for story in stories)


def test_an_interrupted_wait_does_not_stop_k3s(lab: Machine, lab_tool: Tool) -> None:
    lab_tool.order(delay=4)
    with lab.popen(TOOL, "up", *lab_tool.ignore) as waiting:
        assert waiting.stderr
        for line in waiting.stderr:
            if "child namespace" in line:
                break
        waiting.send_signal(2)
        code = waiting.wait(PATIENCE)
        rest = waiting.stderr.read()

    assert 130 == code, rest
    assert "K3s keeps starting" in rest
    assert lab_tool.json("status")["running"]
