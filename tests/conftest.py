"""Fixtures and hooks that all tests share.

Machines are booted when a test first needs them.
"""

from __future__ import annotations

import compileall
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.lab.fixtures", "tests.real_etcd", "tests.vm.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT for background jobs. Programs under test would inherit this and not
    # stop at an interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples have no deadline, because machines differ in speed. The timeout of the test ends an
# example that hangs. A failing example is printed with what reproduces it; nothing is stored, so
# that the tests also run in a checkout without write permission.
settings.register_profile(
    "any machine",
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("few examples", settings.get_profile("any machine"), max_examples=15)
settings.load_profile("any machine")

_MACHINES = ("older_vm", "vm", "lab")
_READERS = frozenset(("test_architecture.py", "test_json_page.py", "test_plain_english.py"))
"""Modules that parse all code or documents once, and then have many tests."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the package and the programs of the tests before hundreds of processes load them.

    Many of these processes run as a user without write permission here. Each would compile the
    modules again, which takes a third of the run time of a command.
    """
    if hasattr(session.config, "workerinput"):
        return
    tests = Path(__file__).parent
    for place in (tests.parent / "k3s_rootless", tests / "fakes", tests / "standin"):
        compileall.compile_dir(place, quiet=2)


@pytest.fixture(scope="session")
def dbus_daemon() -> None:
    """Skip a test on a private D-Bus daemon if the program does not exist."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set which tests share a worker (`pytest -n`), and which groups start first.

    All tests of virtual machines form one group: a virtual machine boots once, and an emulated one
    uses both cores. Tests on labs form one group per module, because a module shares what it
    installed, and a lab boots in a second. The tests of `_READERS` form one group per module. All
    other tests are free. The long groups start first.

    Tests on a private D-Bus daemon get the marker `bus`.
    """
    order = {name: number for number, name in enumerate(_MACHINES)}
    for item in items:
        if "dbus_daemon" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.bus)
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: (order.get(_machine(item), len(order)), not _group(item)))


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
    if item.path.name in _READERS:
        return item.path.name
    return f"lab {item.path}" if machine == "lab" else machine.removeprefix("older_")
