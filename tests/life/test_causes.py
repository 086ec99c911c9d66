"""Causes brought about for real: `diagnose` names each at the first answer, its remedy is pasted, and `up` is ready again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fixtures import fresh
from tests.life import causes
from tests.life.causes import CASES, Case, broken, follow
from tests.life.conftest import MACHINES, Tool, delegating
from tests.machine import Machine
from tests.vm.machine import Vm

# One machine after the other: each of them is set up once, for all cases.
ON = [
    pytest.param(place.values[0], case, marks=place.marks, id=f"{place.values[0]}-{case}")
    for place in MACHINES
    for case in CASES
    if place.values[0] in case.machines
]


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest, kept: set[str]) -> Iterator[Tool]:
    """Give a K3s that came up once, and is broken and mended from then on."""
    machine: Machine = request.getfixturevalue(request.param)
    if isinstance(machine, Vm):
        delegating(machine, kept)
    fresh(machine)
    machine.root("sysctl", "-w", "net.ipv4.ip_forward=1")
    tool = Tool(machine)
    causes.order()(tool)
    tool.up().check_returncode()
    yield tool
    fresh(machine)


def test_enough_causes_are_real_on_each_machine() -> None:
    for machine in ("lab", "vm"):
        assert len({case.id for case in CASES if machine in case.machines}) >= 20


@pytest.mark.parametrize(("installed", "case"), ON, indirect=["installed"])
def test_a_cause_is_told_at_the_first_answer_and_its_remedy_mends_it(installed: Tool, case: Case) -> None:
    shown = ""
    with broken(installed, case) as done:
        found = json.loads(done.stdout)
        assert 1 == done.returncode, done.stderr
        told(found["cause"], case)
        if not case.by_hand:
            case.relents(installed)
            shown = follow(installed, found["cause"]["remedy"])
            ready(installed, shown)
    if case.by_hand:
        ready(installed, shown)


def told(cause: dict[str, Any] | None, case: Case) -> None:
    """Hold the answer to what was broken."""
    assert cause is not None
    assert (case.id, case.mender) == (cause["id"], cause["remedy"]["mender"]), cause
    assert case.check is None or case.check == cause["check"]
    assert case.words in cause["title"]
    assert case.seen in "; ".join(cause["seen"])


def ready(tool: Tool, shown: str) -> None:
    """Hold K3s to being well, and `diagnose` to seeing it."""
    up = tool.up()
    assert 0 == up.returncode, (shown, up.stderr)
    well = tool("diagnose")
    assert (0, "nothing is wrong: K3s is ready\n") == (well.returncode, well.stdout), shown


@pytest.mark.vm
def test_controllers_that_are_not_delegated_are_told_until_they_are(stock_vm: Vm) -> None:
    """First an administrator has to configure it, then the user has to log in once more: one remedy after the other."""
    tool = Tool(stock_vm)
    causes.order()(tool)
    refused = tool("up", "--ignore", "cgroup.delegation")
    assert 1 == refused.returncode
    assert "the controller cpuset is not delegated (cgroup.delegation.cpuset)" in refused.stderr

    lacking = tool.json("diagnose")["cause"]
    assert ("cgroup-controller", "administrator") == (lacking["id"], lacking["remedy"]["mender"])
    follow(tool, lacking["remedy"])
    stale = tool.json("diagnose")["cause"]
    assert ("delegation-stale", "user") == (stale["id"], stale["remedy"]["mender"])
    shown = follow(tool, stale["remedy"])

    ready(tool, shown)
