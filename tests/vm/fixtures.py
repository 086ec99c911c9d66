"""Pytest fixtures for virtual machines: `vm`, booted once for the session, and `stock_vm`, as good as just booted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.payload import PayloadError
from tests.vm.errors import VmError
from tests.vm.machine import Vm

_TIME_LIMIT = 30 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in the machine the time that its image takes to build, which falls to the first of them."""
    for item in items:
        if item.get_closest_marker("vm") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TIME_LIMIT))


@pytest.fixture(scope="session")
def vm() -> Iterator[Vm]:
    """Boot a machine for the session; where that cannot be, skip with the reason."""
    # Not at the top: pytest wants to be the first to import a plugin.
    from tests.lab.fixtures import absent

    try:
        machine = Vm.boot()
    except (VmError, PayloadError) as error:
        absent("vm", str(error))
    yield machine
    machine.down()


@pytest.fixture
def stock_vm(vm: Vm) -> Vm:
    """Return the session's machine, taken back to the state in which it was booted."""
    vm.restore()
    return vm
