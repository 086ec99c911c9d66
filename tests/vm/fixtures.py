"""Pytest fixtures for virtual machines: `vm` and `older_vm`, each booted once for the session, and
taken back to that state.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machine import MachineError
from tests.vm.machine import RELEASE, Vm

OLDER = "bookworm"
"""The release of `older_vm`: Linux 6.1 and systemd 252."""
_TIME_LIMIT = 30 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in the machine the time that its image takes to build, which falls to the first of
    them.
    """
    for item in items:
        if item.get_closest_marker("vm") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TIME_LIMIT))


@pytest.fixture(scope="session")
def vm() -> Iterator[Vm]:
    """Boot a machine for the session; where that cannot be, skip with the reason."""
    yield from _booted(RELEASE)


@pytest.fixture(scope="session")
def older_vm() -> Iterator[Vm]:
    """Boot a machine of Debian 12 for the session; where that cannot be, skip with the reason."""
    yield from _booted(OLDER)


@pytest.fixture
def stock_vm(vm: Vm) -> Vm:
    """Return the session's machine, taken back to the state in which it was booted."""
    vm.restore()
    return vm


@pytest.fixture(params=["vm", "older_vm"])
def each_stock_vm(request: pytest.FixtureRequest) -> Vm:
    """Return each of the session's machines in turn, taken back to the state in which it was
    booted.
    """
    machine: Vm = request.getfixturevalue(request.param)
    machine.restore()
    return machine


def _booted(release: str) -> Iterator[Vm]:
    # Not at the top: pytest wants to be the first to import a plugin.
    from tests.lab.fixtures import absent

    try:
        machine = Vm.boot(release=release)
    except MachineError as error:
        absent(f"vm of Debian {release}", str(error))
    yield machine
    machine.down()
