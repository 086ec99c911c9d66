"""Pytest fixtures for virtual machines.

`vm` and `older_vm` are booted once per session and restored to that state.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machine import MachineError
from tests.vm.machine import RELEASE, Vm

OLDER = "bookworm"
"""Release of `older_vm`: Linux 6.1 and systemd 252."""
_TIME_LIMIT = 30 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raise the time limit of tests in virtual machines.

    The first of these tests builds the image.
    """
    for item in items:
        if item.get_closest_marker("vm") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TIME_LIMIT))


@pytest.fixture(scope="session")
def vm() -> Iterator[Vm]:
    """Boot a machine for the session, or skip the test with the reason."""
    yield from _booted(RELEASE)


@pytest.fixture(scope="session")
def older_vm() -> Iterator[Vm]:
    """Boot a machine of Debian 12 for the session, or skip the test with the reason."""
    yield from _booted(OLDER)


@pytest.fixture
def stock_vm(vm: Vm) -> Vm:
    """Return the machine of the session, restored to its state after boot."""
    vm.restore()
    return vm


@pytest.fixture(params=["vm", "older_vm"])
def each_stock_vm(request: pytest.FixtureRequest) -> Vm:
    """Return each machine of the session in turn, restored to its state after boot."""
    machine: Vm = request.getfixturevalue(request.param)
    machine.restore()
    return machine


def _booted(release: str) -> Iterator[Vm]:
    # Not at the top of the module: pytest must be the first to import a plugin.
    from tests.lab.fixtures import absent

    try:
        machine = Vm.boot(release=release)
    except MachineError as error:
        absent(f"vm of Debian {release}", str(error))
    yield machine
    machine.down()
