"""Tests that `diagnose` names each real cause at the first run, and that its remedy works.

The remedy is pasted as printed, and `up` is ready again. `python -m tests.e2e.causes_page vm` tries
causes that need their own kernel; test_faults.py and test_failed_starts.py have them as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import causes
from tests.e2e.causes import CASES, Case
from tests.e2e.conftest import Tool
from tests.e2e.fixing import follow, installed, ready, tried
from tests.machine import Machine
from tests.vm.machine import Vm

IN_LAB = [case for case in CASES if "lab" in case.machines]


@pytest.fixture(scope="module")
def in_lab(lab: Machine) -> Iterator[Tool]:
    """Yield the tool in the lab."""
    with installed(lab) as tool:
        yield tool


def test_the_printed_commands_fix_enough_causes_on_each_machine() -> None:
    for machine in ("lab", "vm"):
        assert (
            len({case.id for case in CASES if machine in case.machines and not case.manual_reason})
            >= 20
        )


@pytest.mark.lab
@pytest.mark.parametrize("case", IN_LAB, ids=str)
def test_lab_reports_the_cause_in_the_first_run_and_its_fix_works(in_lab: Tool, case: Case) -> None:
    tried(in_lab, case)


@pytest.mark.vm
def test_missing_controllers_are_reported_until_they_are_delegated(stock_vm: Vm) -> None:
    """Two remedies: an administrator configures delegation, then the user logs in again."""
    tool = Tool(stock_vm)
    causes.order()(tool)
    refused = tool("up", "--ignore", "cgroup.delegation")
    assert 1 == refused.returncode
    assert "the controller cpuset is not delegated (cgroup.delegation.cpuset)" in refused.stderr

    lacking = tool.json("diagnose")["cause"]
    assert ("cgroup-controller", "administrator") == (
        lacking["id"],
        lacking["remedy"]["fixable_by"],
    )
    follow(tool, lacking["remedy"])
    stale = tool.json("diagnose")["cause"]
    assert ("delegation-stale", "user") == (stale["id"], stale["remedy"]["fixable_by"])
    output = follow(tool, stale["remedy"])

    ready(tool, output)
