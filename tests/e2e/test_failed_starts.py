"""Tests that each kind of failed start is reported with its first cause and its exit code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import fixing
from tests.e2e.causes import order
from tests.e2e.conftest import Tool, delegating
from tests.e2e.ways import Way, run, ways
from tests.machine import Machine
from tests.vm.machine import Vm

SAMPLE = {"userns-max", "unit-not-delegating"}
"""Ways that run in the virtual machine, which may be emulated.

`python -m tests.e2e.failed_starts_page vm` runs all.
"""


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[Tool]:
    """Yield a K3s that was ready once; the tests then make its starts fail."""
    with fixing.installed(lab) as tool:
        yield tool


@pytest.fixture(scope="module")
def installed_vm(vm: Vm, kept: set[str]) -> Tool:
    """Return such a K3s in the virtual machine."""
    tool = Tool(delegating(vm, kept))
    order()(tool)
    tool.up().check_returncode()
    return tool


@pytest.mark.lab
@pytest.mark.parametrize("way", ways("lab"), ids=lambda way: way.id)
def test_a_failed_start_is_reported_immediately(installed: Tool, way: Way) -> None:
    assert (reported(installed, way) is not None) == (way.exit_text is not None)


@pytest.mark.vm
@pytest.mark.parametrize(
    "way", [way for way in ways("vm") if way.id in SAMPLE], ids=lambda way: way.id
)
def test_a_failed_start_in_the_vm_is_reported(installed_vm: Tool, way: Way) -> None:
    assert (reported(installed_vm, way) is not None) == (way.exit_text is not None)


def reported(tool: Tool, way: Way) -> float | None:
    """Fail a start, check the report, and return its delay after systemd's message."""
    found = run(tool, way)

    assert way.code == found.code, found.document
    error = found.error
    assert way.code == error["exit_code"]
    assert way.cause is None or way.cause == error.get("cause"), error
    assert way.phase is None or way.phase == error.get("phase"), error
    assert way.message in error["message"]
    assert error["hint"]
    return found.delay
