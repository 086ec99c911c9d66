"""What all tests share: the machines, booted when a test first asks for one."""

from __future__ import annotations

import compileall
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.lab.fixtures", "tests.vm.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in what a shell started in the background; programs under test would inherit it, and
    # not end at an interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example may take as long as the machine does; what never ends ends at the limit of the test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

_MACHINES = ("older_vm", "vm", "lab")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the package once, before hundreds of processes load it.

    Many of them run as a user who cannot write here, and each would compile it again: a third of
    the time that a command takes.
    """
    if not hasattr(session.config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "k3s_rootless", quiet=2)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests run one after the other on one worker (`pytest -n`), and which groups start
    first.

    A virtual machine is booted once, and an emulated one takes both cores, so all tests of virtual
    machines form one group. Tests on labs form a group a module, since a module shares what it
    installed; a lab takes a second. Everything else is free. The long groups start first.
    """
    order = {name: number for number, name in enumerate(_MACHINES)}
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: order.get(_machine(item), len(order)))


def _machine(item: pytest.Item) -> str:
    used = getattr(item, "fixturenames", ())
    chosen = getattr(item, "callspec", None)
    if "older_vm" in used or (chosen and "older_vm" in chosen.params.values()):
        return "older_vm"
    if item.get_closest_marker("vm"):
        return "vm"
    return "lab" if item.get_closest_marker("lab") else ""


def _group(item: pytest.Item) -> str:
    machine = _machine(item)
    return f"lab {item.path}" if machine == "lab" else machine.removeprefix("older_")
