"""Tests that each host fault is reported before the start, really affects K3s, and is fixed.

All run in a lab; the virtual machines run those that a lab cannot have. The page of faults has the
results of a run of all faults on all machines.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import fixing
from tests.e2e.conftest import Tool, delegating
from tests.e2e.fault import Fault
from tests.e2e.faults import FAULTS
from tests.e2e.injecting import bad, findings, inject, stop, wrong
from tests.machine import Machine
from tests.vm.machine import Vm

IN_LAB = [one for one in FAULTS if "lab" in one.machines]
# test_delegation.py has the states of delegation, on both virtual machines.
IN_VM = [one for one in FAULTS if one.id in {"userns-max", "br-netfilter"}]
IN_OLDER_VM = [one for one in FAULTS if one.id == "netns-max"]


def follow_to_its_end(tool: Tool, fault: Fault, known: frozenset[str]) -> None:
    found = inject(tool, fault, known, whole=not fault.manual).document()

    assert [] == wrong(fault, found), found
    assert (
        found["code"]
        == {"fail": {"administrator": 6, "user": 5}[fault.fixable_by], "warn": 0}[fault.verdict]
    ), found


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[tuple[Tool, frozenset[str]]]:
    """Yield a K3s that was ready once, in a lab with only the faults that every lab has."""
    with fixing.installed(lab) as tool:
        stop(tool)
        yield tool, frozenset(name for name, one in findings(tool).items() if bad(one))


@pytest.mark.lab
@pytest.mark.parametrize("fault", IN_LAB, ids=str)
def test_a_fault_is_reported_shown_and_fixed(
    installed: tuple[Tool, frozenset[str]], fault: Fault
) -> None:
    follow_to_its_end(installed[0], fault, installed[1])


@pytest.mark.vm
@pytest.mark.parametrize("fault", IN_VM, ids=str)
def test_a_fault_that_needs_its_own_kernel(delegating_vm: Vm, fault: Fault) -> None:
    with fixing.installed(delegating_vm) as tool:
        follow_to_its_end(tool, fault, frozenset())


@pytest.mark.vm
@pytest.mark.parametrize("fault", IN_OLDER_VM, ids=str)
def test_a_fault_on_an_older_kernel_and_systemd(older_vm: Vm, fault: Fault) -> None:
    with fixing.installed(delegating(older_vm, set())) as tool:
        follow_to_its_end(tool, fault, frozenset())
