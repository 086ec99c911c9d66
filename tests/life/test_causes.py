"""Causes brought about for real: `diagnose` names each at the first answer, its remedy is pasted, and `up` is ready again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fixtures import fresh
from tests.life import causes
from tests.life.causes import CASES, Case, broken, follow
from tests.life.conftest import Tool, delegating
from tests.machine import Machine
from tests.vm.machine import Vm


def of(machine: str) -> pytest.MarkDecorator:
    """Give the cases of one machine."""
    return pytest.mark.parametrize("case", [case for case in CASES if machine in case.machines], ids=str)


def installed(machine: Machine) -> Iterator[Tool]:
    """Give a K3s that came up once, and is broken and mended from then on."""
    fresh(machine)
    machine.root("sysctl", "-w", "net.ipv4.ip_forward=1")
    tool = Tool(machine)
    causes.order()(tool)
    tool.up().check_returncode()
    yield tool
    fresh(machine)


@pytest.fixture(scope="module")
def in_lab(lab: Machine) -> Iterator[Tool]:
    """Give it in the lab."""
    yield from installed(lab)


@pytest.fixture(scope="module")
def in_vm(vm: Vm, kept: set[str]) -> Iterator[Tool]:
    """Give it in the virtual machine, where delegation and the switches of the kernel are real."""
    yield from installed(delegating(vm, kept))


def test_enough_causes_are_real_on_each_machine() -> None:
    for machine in ("lab", "vm"):
        assert len({case.id for case in CASES if machine in case.machines}) >= 20


@pytest.mark.lab
@of("lab")
def test_in_the_lab_a_cause_is_told_at_the_first_answer_and_its_remedy_mends_it(in_lab: Tool, case: Case) -> None:
    tried(in_lab, case)


@pytest.mark.vm
@of("vm")
def test_in_the_vm_a_cause_is_told_at_the_first_answer_and_its_remedy_mends_it(in_vm: Tool, case: Case) -> None:
    tried(in_vm, case)


def tried(tool: Tool, case: Case) -> None:
    """Break K3s, ask, do what is said, and hold K3s to being ready."""
    shown = ""
    with broken(tool, case) as done:
        found = json.loads(done.stdout)
        assert 1 == done.returncode, done.stderr
        told(found["cause"], case)
        if not case.by_hand:
            case.relents(tool)
            shown = follow(tool, found["cause"]["remedy"])
            ready(tool, shown)
    if case.by_hand:
        ready(tool, shown)


def told(cause: dict[str, Any] | None, case: Case) -> None:
    """Hold the answer to what was broken."""
    assert cause is not None
    assert (case.id, case.mender) == (cause["id"], cause["remedy"]["mender"]), cause
    assert case.check is None or case.check == cause["check"]
    assert case.words in cause["title"]
    assert case.seen in "; ".join(cause["seen"])


def ready(tool: Tool, shown: str) -> None:
    """Hold K3s to being well, and `diagnose` to seeing it."""
    if "K3s is ready (" not in shown:
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
